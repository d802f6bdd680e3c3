#ifndef DELE_CMD_EVAL_H
#define DELE_CMD_EVAL_H

int cmd_eval(int argc, char **argv);

#endif
