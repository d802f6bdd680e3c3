/* What a file of claims begins with: cmocka, with the headers that it needs before it, and those of
 * the standard library that nearly every test uses. */
#ifndef DELE_TESTS_CLAIMS_H
#define DELE_TESTS_CLAIMS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
