/* The commands that put the rooms together. */
#ifndef DELE_EXPERIMENTS_CMD_H
#define DELE_EXPERIMENTS_CMD_H

int cmd_generate(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_facts(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_plot(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_rows(int argc, char **argv);
int cmd_subset(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_attack(int argc, char **argv);

#endif
