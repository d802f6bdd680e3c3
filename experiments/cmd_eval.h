#ifndef LAC_CMD_EVAL_H
#define LAC_CMD_EVAL_H

int cmd_eval(int argc, char **argv);

#endif
