/* From variant numbers to handlers: what verification needs to thread code. */
#ifndef CN_VM_HANDLERS_H
#define CN_VM_HANDLERS_H

#include <stdint.h>

/* The address, as it stands in threaded code, of a handler of this variant. Hot variants have
 * several equal handlers, which helps branch predictors; `salt` (an instruction's position)
 * chooses one. */
uint64_t cn_handler_of(uint32_t variant, uint32_t salt);

/* The address of the handler that stops the guest because a function has no code yet. */
uint64_t cn_stub_handler(void);

#endif
