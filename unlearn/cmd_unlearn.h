#ifndef LAC_CMD_UNLEARN_H
#define LAC_CMD_UNLEARN_H

int cmd_unlearn(int argc, char **argv);

#endif
