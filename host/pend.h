/* Host calls that are answered later: a table in which each has an entry from when its function
 * said so until the guest has its answer, or the VM is over.
 *
 * Whoever answers knows the call by a token, which holds for this one call alone: an answer that
 * comes late, or twice, finds nothing. One table serves many VMs, and outlives them; its lock is
 * held while a VM that is answered is woken, so it cannot go away meanwhile.
 */
#ifndef CN_HOST_PEND_H
#define CN_HOST_PEND_H

#include <pthread.h>

#include "core/code.h"
#include "core/module.h"

struct cn_vm;
struct cn_account;

#define CN_ANSWER_TEXT 200

enum cn_answer_kind {
    CN_ANSWER_RESULT, /* the function's result is slots[0...] */
    CN_ANSWER_TRAP,   /* the guest traps with the text */
    CN_ANSWER_CALL,   /* `function` is called by the VM's thread */
};

struct cn_answer {
    enum cn_answer_kind kind;
    bool has_result;
    cn_valtype type;       /* of the result */
    union cn_slot slots[2];
    void (*function)(void); /* the layer above knows its type */
    void *user;
    char text[CN_ANSWER_TEXT];
};

struct cn_pend;

struct cn_pends {
    pthread_mutex_t lock; /* of what follows */
    struct cn_pend *entries;
    uint32_t count, free;
    void (*dropped)(const struct cn_answer *answer); /* one with CALL whose VM is over */
};

void cn_pends_init(struct cn_pends *pends, void (*dropped)(const struct cn_answer *answer));
void cn_pends_release(struct cn_pends *pends);

/* On the VM's thread: a call of a function of that type, which outlives the call, will be answered.
 * Its token; 0 when there is no memory, of which the VM is charged some. */
uint64_t cn_pend_open(struct cn_pends *pends, struct cn_vm *vm, const struct cn_functype *type);

enum cn_pend_outcome {
    CN_PEND_ANSWERED,
    CN_PEND_UNKNOWN, /* there is no such call: it has its answer, or its VM is over */
    CN_PEND_MISFIT,  /* the function has another result; the call waits on */
};

/* From any thread. The answer is copied. */
enum cn_pend_outcome cn_pend_answer(struct cn_pends *pends, uint64_t token,
                                    const struct cn_answer *answer);

/* On the VM's thread: whether the answer is there; then the call is over. */
bool cn_pend_take(struct cn_vm *vm, uint64_t token, struct cn_answer *answer);

/* On the VM's thread: the calls that have no answer will get none, and what is there is dropped. */
void cn_pend_drop(struct cn_vm *vm, uint64_t token);
void cn_pend_drop_all(struct cn_vm *vm);

#endif
