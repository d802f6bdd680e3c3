#ifndef DELE_CMD_UNLEARN_H
#define DELE_CMD_UNLEARN_H

int cmd_unlearn(int argc, char **argv);

#endif
