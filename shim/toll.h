/* What passes a descriptor pays: the rates and totals of spec/quotas.md, from DISK_RATE on.
 *
 * A call asks how much may pass, moves no more than that, and pays for what it moved. So nothing
 * is owed, and a total is never passed. Where a rate lets nothing pass, a call waits, parked like
 * one that waits for a pipe; a descriptor that must not wait gets AGAIN.
 */
#ifndef CN_SHIM_TOLL_H
#define CN_SHIM_TOLL_H

#include <stdbool.h>

#include "governor/account.h"
#include "governor/rate.h"
#include "shim/abi.h"

struct cn_call;
struct cn_fd;

/* The quotas that count what passes; CN_QUOTA_COUNT stands for none. */
struct cn_gate {
    enum cn_quota rate, total, operations;
};

struct cn_tolls {
    struct cn_account *account;
    struct cn_rate rates[CN_QUOTA_COUNT]; /* those of the rates are used */
};

/* Nothing is saved in the beginning. */
void cn_tolls_init(struct cn_tolls *tolls, struct cn_account *account);

/* What reading from the descriptor, or writing to it, has to pass. */
struct cn_gate cn_gate_of(const struct cn_fd *fd, bool writes);

/* Makes *size what may pass now: DQUOT when the total is used up, AGAIN when the rate allows too
 * little to be worth it (and *size is as before). 0 bytes always pass. */
enum cn_errno cn_toll_ask(struct cn_tolls *tolls, struct cn_gate gate, uint64_t *size);

/* So much has passed. */
void cn_toll_pay(struct cn_tolls *tolls, struct cn_gate gate, uint64_t size);

/* When something worth it may pass (of the monotonic clock): 0 for now, UINT64_MAX for never. */
uint64_t cn_toll_moment(struct cn_tolls *tolls, struct cn_gate gate);

/* Parks the call until `size` bytes or something worth it may pass. AGAIN where it must not. */
enum cn_errno cn_toll_wait(struct cn_call *call, struct cn_gate gate, uint64_t size);

/* Counts the call as one operation on a file or directory, if its descriptor is one: at its first
 * try, and never again. Parks it until there is one left. */
enum cn_errno cn_toll_operation(struct cn_call *call, bool may_refuse);

#endif
