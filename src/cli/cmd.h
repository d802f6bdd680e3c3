/* The commands, in the order of `deleatur --help`.  argv[0] is the command's name; the value is the
 * exit status: 0, 1 (run-time error), 2 (wrong command line). */
#ifndef DELE_CMD_H
#define DELE_CMD_H

int cmd_trace(int argc, char **argv);
int cmd_trace_compare(int argc, char **argv); /* trace --compare */
int cmd_finetune(int argc, char **argv);
int cmd_unlearn(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_depth(int argc, char **argv);
int cmd_routing(int argc, char **argv);
int cmd_attack(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_plot(int argc, char **argv);
int cmd_facts(int argc, char **argv);
int cmd_rows(int argc, char **argv);
int cmd_subset(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_nudge(int argc, char **argv);
int cmd_parity(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_upcycle(int argc, char **argv);

#endif
