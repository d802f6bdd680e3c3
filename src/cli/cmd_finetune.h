#ifndef DELE_CMD_FINETUNE_H
#define DELE_CMD_FINETUNE_H

int cmd_finetune(int argc, char **argv);

#endif
