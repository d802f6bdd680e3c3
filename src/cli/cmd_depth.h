#ifndef DELE_CMD_DEPTH_H
#define DELE_CMD_DEPTH_H

int cmd_depth(int argc, char **argv);

#endif
