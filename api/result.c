/* How a run ended, in words and numbers for the outside. */
#include <stdio.h>
#include <string.h>

#include "api/internal.h"

bool cn_api_origin(struct cordon_module *module, const struct cn_frame *frame,
                   struct cn_origin *origin)
{
    pthread_mutex_lock(&module->lock);
    struct cn_translator *translator = cn_api_translator(module);
    bool found = translator != NULL && cn_translate_origin(translator, frame->code->func,
                                                           frame->offset, origin) == CN_OK;
    pthread_mutex_unlock(&module->lock);
    return found;
}

static void describe_frame(struct cordon_vm *vm, const struct cn_frame *frame,
                           cordon_frame_t *shown)
{
    struct cn_bytes name = cn_module_func_name(frame->instance->module, frame->code->func);
    const struct cordon_instance *instance = cn_api_instance_of(vm, frame->instance);
    struct cn_origin origin = {0};
    size_t size = name.size < sizeof shown->function - 1 ? name.size : sizeof shown->function - 1;

    for (size_t i = 0; i < size; i++)
        shown->function[i] = name.at[i] < 0x20 || name.at[i] == 0x7f ? '?' : (char)name.at[i];
    shown->function[size] = '\0';
    shown->index = frame->code->func;
    if (instance == NULL)
        return;
    if (instance->instance != vm->vm.instance || vm->main == NULL)
        snprintf(shown->module, sizeof shown->module, "%s", instance->name);
    if (cn_api_origin(instance->module, frame, &origin))
        shown->offset = origin.wasm_offset;
}

static void describe_frames(struct cordon_vm *vm, cordon_result_t *result)
{
    struct cn_frame frames[CORDON_FRAMES_MAX];
    const struct cn_thread *thread;
    uint32_t count = 0;

    for (uint32_t i = 0; (thread = cn_vm_end_thread(&vm->vm, i)) != NULL; i++)
        count += cn_thread_frames(thread, frames + count, CORDON_FRAMES_MAX - count);
    result->frame_count = count;
    for (uint32_t i = 0; i < count; i++)
        describe_frame(vm, &frames[i], &result->frames[i]);
}

/* A trap in the middle of a block gives back the fuel of what it kept from being run. */
static void refund_unspent(struct cordon_vm *vm)
{
    struct cn_frame frame;
    struct cn_origin origin;

    if (vm->is_settled)
        return;
    vm->is_settled = true;
    if (cn_thread_frames(cn_vm_end_thread(&vm->vm, 0), &frame, 1) != 1 || frame.code->bytes == NULL)
        return;
    struct cordon_module *module = cn_api_module_of(vm, frame.instance->program);
    if (module != NULL && cn_api_origin(module, &frame, &origin) &&
        origin.unspent <= vm->vm.account.used[CN_QUOTA_FUEL])
        cn_account_refund(&vm->vm.account, CN_QUOTA_FUEL, origin.unspent);
}

static void result_of_quota(const struct cn_vm *vm, cordon_result_t *result)
{
    static const int codes[CORDON_QUOTA_COUNT] = {[CORDON_TIMEOUT] = 124};

    result->end = CORDON_END_QUOTA;
    result->quota = (cordon_quota_t)vm->end.quota;
    result->exit_code = codes[result->quota] ? codes[result->quota] : 137;
    snprintf(result->message, sizeof result->message, "quota exhausted: %s",
             cn_quota_key(vm->end.quota));
}

static void result_of_trap(struct cordon_vm *vm, cordon_result_t *result)
{
    result->end = CORDON_END_TRAP;
    result->exit_code = 134;
    if (vm->vm.end.error.status == CN_TRAP_STACK_OVERFLOW)
        result->quota =
            cn_vm_end_thread(&vm->vm, 0)->lacks_memory ? CORDON_MEMORY : CORDON_STACK;
    snprintf(result->message, sizeof result->message, "%s", vm->vm.end.error.text);
    describe_frames(vm, result);
    refund_unspent(vm);
}

/* No message and no frames: what stands there is not wiped, as that takes longer than a call. */
static void clear(cordon_result_t *result)
{
    result->end = CORDON_END_NONE;
    result->exit_code = result->signal = 0;
    result->quota = CORDON_QUOTA_COUNT;
    result->message[0] = '\0';
    result->frame_count = 0;
}

void cn_api_result(struct cordon_vm *vm, cordon_result_t *result)
{
    const struct cn_end *end = &vm->vm.end;

    clear(result);
    switch (end->kind) {
    case CN_END_NONE:
    case CN_END_DONE:
        result->end = end->kind == CN_END_DONE ? CORDON_END_RETURN : CORDON_END_NONE;
        return;
    case CN_END_EXIT:
        result->end = CORDON_END_EXIT;
        result->exit_code = end->exit_code & 0xff;
        return;
    case CN_END_TRAP:
        result_of_trap(vm, result);
        return;
    case CN_END_QUOTA:
        result_of_quota(&vm->vm, result);
        return;
    case CN_END_KILLED:
        result->end = CORDON_END_KILLED;
        result->signal = end->signal;
        result->exit_code = 128 + end->signal;
        snprintf(result->message, sizeof result->message, "killed by signal %d", end->signal);
        return;
    default:
        result->end = CORDON_END_ERROR;
        result->exit_code = cn_status_exit_code(end->error.status);
        snprintf(result->message, sizeof result->message, "%s", end->error.text);
        return;
    }
}
