/* Process set-up at the start of a command line program, and checks at its end. */
#ifndef DELE_PROCESS_H
#define DELE_PROCESS_H

/* Called first in main.  Descriptors 0 to 2 are open afterwards; threads wait without spinning,
 * unless OMP_WAIT_POLICY or GOMP_SPINCOUNT says otherwise (this may execute the program once more,
 * then it does not return); writing into a closed pipe and beyond ulimit -f are errors of write,
 * not signals. */
void dele_process_begin(char **argv);

/* Called last: returns status, or 1 instead of 0 if stdout failed or an allocation failed
 * unnoticed.  The reason is printed on stderr, except where the reader of a pipe has closed it
 * (head). */
int dele_process_end(int status);

#endif
