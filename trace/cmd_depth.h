#ifndef LAC_CMD_DEPTH_H
#define LAC_CMD_DEPTH_H

int cmd_depth(int argc, char **argv);

#endif
