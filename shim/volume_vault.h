/* Where the library of ciphers allocates, in a process that has nothing else to do with it: round
 * keys and what else lies in its contexts are locked, in no core dump, and wiped when freed. */
#ifndef CN_SHIM_VOLUME_VAULT_H
#define CN_SHIM_VOLUME_VAULT_H

#include <stdbool.h>
#include <stddef.h>

/* From now on it allocates here. For processes that are Cordon's alone, once, before anything else
 * is done with volumes; false when that is too late. */
bool cn_vault_ciphers(void);

/* What it calls then, with the place in its source; from any thread. */
void *cn_vault_take(size_t size, const char *file, int line);
void *cn_vault_move(void *block, size_t size, const char *file, int line);
void cn_vault_give_back(void *block, const char *file, int line);

#endif
