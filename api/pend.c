/* Host functions whose answer comes later. */
#include <string.h>

#include "api/internal.h"

static cordon_raw_fn function_of(const struct cn_answer *answer)
{
    return (cordon_raw_fn)answer->function;
}

void cn_api_answer_dropped(const struct cn_answer *answer)
{
    (void)function_of(answer)(answer->user, NULL, NULL);
}

/* ------------------------------------------------------------------ on the VM's thread */

cordon_token_t cordon_vm_pend(cordon_vm_t *vm)
{
    struct cn_thread *thread = vm->vm.thread;

    if (!cn_api_is_in_host(vm) || vm->pending != 0 || thread->host_call == NULL)
        return 0;
    if (vm->vm.nest.depth > 0) {
        cn_api_break(vm, CN_TRAP_SUSPEND, cn_status_text(CN_TRAP_SUSPEND));
        return 0;
    }
    vm->pending = cn_pend_open(&vm->host->pends, &vm->vm, thread->host_call->type);
    return vm->pending;
}

/* What the guest gets of an answer; the function of one may wait for another. */
static enum cn_status give(struct cordon_vm *vm, struct cn_thread *thread,
                           const struct cn_answer *answer, union cn_slot *slots)
{
    if (answer->kind == CN_ANSWER_TRAP)
        return cn_fail(&thread->error, CN_TRAP_HOST, CN_NO_OFFSET, "%s", answer->text);
    if (answer->kind == CN_ANSWER_RESULT) {
        memcpy(slots, answer->slots, thread->host_call->type->result_slots * sizeof *slots);
        return CN_OK;
    }
    struct cn_host_call call;
    cn_api_enter_host(vm, &call);
    bool is_done = function_of(answer)(answer->user, vm, &slots[0].u64);
    (void)cn_api_leave_host(vm, &call); /* what it wants is looked at by the caller */
    return is_done ? CN_OK : CN_TRAP_HOST;
}

/* The token stands in the call's state from when its function has returned. */
#define TOKEN(thread) ((thread)->call_state.words[0])

/* What comes of the call when the embedder's function has returned. */
static enum cn_status after(struct cordon_vm *vm, struct cn_thread *thread, enum cn_status status)
{
    uint64_t token = vm->pending;

    vm->pending = 0;
    if (vm->is_broken || vm->vm.end.kind != CN_END_NONE)
        status = cn_api_host_broke(vm, thread);
    if (token == 0)
        return status;
    if (status != CN_OK) {
        cn_pend_drop(&vm->vm, token);
        return status;
    }
    TOKEN(thread) = token;
    return CN_PARKED;
}

enum cn_status cn_api_host_went_on(struct cordon_vm *vm, struct cn_thread *thread,
                                   union cn_slot *slots)
{
    struct cn_answer answer;

    while (cn_pend_take(&vm->vm, TOKEN(thread), &answer)) {
        enum cn_status status = after(vm, thread, give(vm, thread, &answer, slots));
        if (status != CN_PARKED)
            return status;
    }
    return CN_PARKED;
}

enum cn_status cn_api_host_stopped(struct cordon_vm *vm, struct cn_thread *thread,
                                   union cn_slot *slots, enum cn_status status)
{
    status = after(vm, thread, status);
    return status == CN_PARKED ? cn_api_host_went_on(vm, thread, slots) : status;
}
/* ------------------------------------------------------------------ from any thread */

static bool answer_with(cordon_host_t *host, cordon_token_t token, const struct cn_answer *answer,
                        cordon_error_t *error)
{
    switch (cn_pend_answer(&host->pends, token, answer)) {
    case CN_PEND_ANSWERED:
        return true;
    case CN_PEND_MISFIT:
        return cn_api_fail(error, CORDON_MISUSE, "the function has a result of another type");
    default:
        return cn_api_fail(error, CORDON_MISUSE,
                           "no call waits for that: it is completed, or its VM is over");
    }
}

bool cordon_complete(cordon_host_t *host, cordon_token_t token, const cordon_value_t *result,
                     cordon_error_t *error)
{
    struct cn_answer answer = {.kind = CN_ANSWER_RESULT, .has_result = result != NULL};

    if (result != NULL) {
        if (result->type > CORDON_F64 && result->type != CORDON_V128)
            return cn_api_fail(error, CORDON_MISUSE, "results are numbers");
        answer.type = cn_api_valtype(result->type);
        cn_api_put_value(answer.slots, result);
    }
    return answer_with(host, token, &answer, error);
}

bool cordon_complete_trap(cordon_host_t *host, cordon_token_t token, const char *text,
                          cordon_error_t *error)
{
    struct cn_answer answer = {.kind = CN_ANSWER_TRAP};

    strncpy(answer.text, text, sizeof answer.text - 1);
    return answer_with(host, token, &answer, error);
}

bool cordon_complete_with(cordon_host_t *host, cordon_token_t token, cordon_raw_fn function,
                          void *user, cordon_error_t *error)
{
    struct cn_answer answer = {
        .kind = CN_ANSWER_CALL, .function = (void (*)(void))function, .user = user,
    };

    return answer_with(host, token, &answer, error);
}
