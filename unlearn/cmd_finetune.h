#ifndef LAC_CMD_FINETUNE_H
#define LAC_CMD_FINETUNE_H

int cmd_finetune(int argc, char **argv);

#endif
