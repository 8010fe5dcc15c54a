/* From the host's errors to the guest's. */
#ifndef CN_SHIM_ERRNO_H
#define CN_SHIM_ERRNO_H

#include "shim/abi.h"

/* The row of spec/wasi_errno.def for a value of errno; IO for what has none. The host's own
 * limit on descriptors is NFILE: MFILE is the guest's quota. */
enum cn_errno cn_errno_of_host(int host);

/* "NOTCAPABLE"; "?" for what is no error of the guest's. */
const char *cn_errno_name(uint32_t error);

#endif
