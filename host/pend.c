#include "host/pend.h"

#include <string.h>

#include "core/alloc.h"
#include "host/vm.h"

#define NONE UINT32_MAX

struct cn_pend {
    struct cn_vm *vm;     /* NULL: free, and `next` is the next free one */
    uint32_t generation;  /* so that a late answer of one call is not another's */
    uint32_t next;        /* of the same VM */
    const struct cn_functype *type;
    bool is_answered;
    struct cn_answer answer;
};

void cn_pends_init(struct cn_pends *pends, void (*dropped)(const struct cn_answer *answer))
{
    *pends = (struct cn_pends){.free = NONE, .dropped = dropped};
    pthread_mutex_init(&pends->lock, NULL);
}

void cn_pends_release(struct cn_pends *pends)
{
    pthread_mutex_destroy(&pends->lock);
    cn_free(cn_heap, pends->entries, pends->count * sizeof *pends->entries);
}

/* ------------------------------------------------------------------ tokens */

/* Never 0: generations begin with 1. */
static uint64_t token_of(const struct cn_pends *pends, uint32_t at)
{
    return (uint64_t)pends->entries[at].generation << 32 | at;
}

static struct cn_pend *find(const struct cn_pends *pends, uint64_t token)
{
    uint32_t at = (uint32_t)token;
    struct cn_pend *pend = at < pends->count ? &pends->entries[at] : NULL;

    return pend != NULL && pend->vm != NULL && pend->generation == token >> 32 ? pend : NULL;
}

static bool add_entries(struct cn_pends *pends)
{
    uint32_t room = pends->count ? pends->count * 2 : 8;
    struct cn_pend *entries = cn_resize(cn_heap, pends->entries, pends->count * sizeof *entries,
                                        room * sizeof *entries);

    if (entries == NULL)
        return false;
    for (uint32_t i = pends->count; i < room; i++)
        entries[i] = (struct cn_pend){.generation = 1, .next = i + 1 < room ? i + 1 : NONE};
    pends->free = pends->count;
    pends->entries = entries;
    pends->count = room;
    return true;
}

static uint64_t open_entry(struct cn_pends *pends, struct cn_vm *vm,
                           const struct cn_functype *type)
{
    if (pends->free == NONE && !add_entries(pends))
        return 0;
    uint32_t at = pends->free;
    struct cn_pend *pend = &pends->entries[at];
    pends->free = pend->next;
    pend->vm = vm;
    pend->type = type;
    pend->is_answered = false;
    pend->next = vm->pends != NULL ? vm->first_pend : NONE;
    vm->pends = pends;
    vm->first_pend = at;
    return token_of(pends, at);
}

uint64_t cn_pend_open(struct cn_pends *pends, struct cn_vm *vm, const struct cn_functype *type)
{
    if (cn_account_charge(&vm->account, CN_QUOTA_MEMORY, sizeof(struct cn_pend)) != CN_OK)
        return 0;
    pthread_mutex_lock(&pends->lock);
    uint64_t token = open_entry(pends, vm, type);
    pthread_mutex_unlock(&pends->lock);
    if (token == 0)
        cn_account_refund(&vm->account, CN_QUOTA_MEMORY, sizeof(struct cn_pend));
    return token;
}

/* ------------------------------------------------------------------ answers */

static bool fits(const struct cn_answer *answer, const struct cn_functype *type)
{
    if (answer->kind != CN_ANSWER_RESULT)
        return true;
    if (!answer->has_result)
        return type->result_count == 0;
    return type->result_count == 1 && cn_functype_results(type)[0] == answer->type;
}

enum cn_pend_outcome cn_pend_answer(struct cn_pends *pends, uint64_t token,
                                    const struct cn_answer *answer)
{
    enum cn_pend_outcome outcome = CN_PEND_UNKNOWN;

    pthread_mutex_lock(&pends->lock);
    struct cn_pend *pend = find(pends, token);
    if (pend != NULL && !pend->is_answered) {
        outcome = fits(answer, pend->type) ? CN_PEND_ANSWERED : CN_PEND_MISFIT;
        if (outcome == CN_PEND_ANSWERED) {
            pend->answer = *answer;
            pend->is_answered = true;
            cn_vm_go_on(pend->vm);
        }
    }
    pthread_mutex_unlock(&pends->lock);
    return outcome;
}

/* Takes the entry out of its VM's list, and frees it. */
static void close_entry(struct cn_pends *pends, struct cn_pend *pend)
{
    struct cn_vm *vm = pend->vm;
    uint32_t at = (uint32_t)(pend - pends->entries), *link = &vm->first_pend;

    while (*link != at)
        link = &pends->entries[*link].next;
    *link = pend->next;
    if (vm->first_pend == NONE)
        vm->pends = NULL;
    if (++pend->generation == 0)
        pend->generation = 1;
    pend->vm = NULL;
    pend->next = pends->free;
    pends->free = at;
    cn_account_refund(&vm->account, CN_QUOTA_MEMORY, sizeof *pend);
}

bool cn_pend_take(struct cn_vm *vm, uint64_t token, struct cn_answer *answer)
{
    struct cn_pends *pends = vm->pends;

    if (pends == NULL)
        return false;
    pthread_mutex_lock(&pends->lock);
    struct cn_pend *pend = find(pends, token);
    bool is_answered = pend != NULL && pend->is_answered;
    if (is_answered) {
        *answer = pend->answer;
        close_entry(pends, pend);
    }
    pthread_mutex_unlock(&pends->lock);
    return is_answered;
}

/* What was to be called may hold something of its caller's. */
static void drop(struct cn_pends *pends, struct cn_pend *pend)
{
    struct cn_answer answer = pend->answer;
    bool is_to_tell = pend->is_answered && answer.kind == CN_ANSWER_CALL;

    close_entry(pends, pend);
    if (!is_to_tell)
        return;
    pthread_mutex_unlock(&pends->lock);
    pends->dropped(&answer);
    pthread_mutex_lock(&pends->lock);
}

void cn_pend_drop(struct cn_vm *vm, uint64_t token)
{
    struct cn_pends *pends = vm->pends;

    if (pends == NULL)
        return;
    pthread_mutex_lock(&pends->lock);
    struct cn_pend *pend = find(pends, token);
    if (pend != NULL)
        drop(pends, pend);
    pthread_mutex_unlock(&pends->lock);
}

void cn_pend_drop_all(struct cn_vm *vm)
{
    struct cn_pends *pends = vm->pends;

    if (pends == NULL)
        return;
    pthread_mutex_lock(&pends->lock);
    while (vm->pends != NULL)
        drop(pends, &pends->entries[vm->first_pend]);
    pthread_mutex_unlock(&pends->lock);
}
