#ifndef LAC_CMD_PLOT_H
#define LAC_CMD_PLOT_H

int cmd_plot(int argc, char **argv);

#endif
