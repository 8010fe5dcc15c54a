/* Debian's wasi-libc has no setjmp. Lua includes the header; what it does with it is replaced by
 * its own macros (see recipes.py). */
#ifndef CORDON_TESTS_SETJMP_H
#define CORDON_TESTS_SETJMP_H

typedef int jmp_buf[1];

#endif
