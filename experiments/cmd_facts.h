#ifndef LAC_CMD_FACTS_H
#define LAC_CMD_FACTS_H

int cmd_facts(int argc, char **argv);

#endif
