/* What a command line program arranges with its system before it does anything, and what it asks at
 * its end. */
#ifndef DELE_PROCESS_H
#define DELE_PROCESS_H

/* First of all in main.  Descriptors 0 to 2 are open afterwards; threads wait without spinning,
 * unless OMP_WAIT_POLICY or GOMP_SPINCOUNT says otherwise (this may execute the program once more,
 * then it does not return); writing into a closed pipe and beyond ulimit -f are errors of write,
 * not signals. */
void dele_process_begin(char **argv);

/* Last of all: whether stdout took all that was printed and no allocation was overlooked; status
 * otherwise, or 1 where it was 0.  Says why on stderr; a reader that left (head) is no news. */
int dele_process_end(int status);

#endif
