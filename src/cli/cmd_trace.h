#ifndef DELE_CMD_TRACE_H
#define DELE_CMD_TRACE_H

int cmd_trace(int argc, char **argv);
int cmd_trace_compare(int argc, char **argv); /* trace --compare */

#endif
