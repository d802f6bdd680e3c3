#ifndef LAC_CMD_COMPARE_H
#define LAC_CMD_COMPARE_H

int cmd_compare(int argc, char **argv);

#endif
