/* wasi-libc's <stdio.h>, and what ISO C has besides. Its own declarations of these only warn that
 * they do not exist; they are put out of the way. */
#define tmpfile __wasi_libc_tmpfile
#define tmpnam __wasi_libc_tmpnam
#include_next <stdio.h>
#undef tmpfile
#undef tmpnam

#ifndef CORDON_STDIO_H
#define CORDON_STDIO_H

#ifdef __cplusplus
extern "C" {
#endif

#undef L_tmpnam
#define L_tmpnam 20
#undef TMP_MAX
#define TMP_MAX 10000

/* ISO C 7.21.4.3. A file in /tmp without a name; needs a directory granted as /tmp. NULL with
 * errno when there is none, or it cannot be written. */
FILE *tmpfile(void);
/* ISO C 7.21.4.4. A name in /tmp that no file had when it was asked for, in NAME or in memory of
 * the library's own; NULL when /tmp is not granted or random numbers cannot be had. */
char *tmpnam(char *name);

#ifdef __cplusplus
}
#endif

#endif
