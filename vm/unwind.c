/* The way of an exception to its handler. A frame without one is left for good, so the thread
 * always stands in the frame that is to be looked at next, and unwinding can stop anywhere. */
#include <string.h>

#include "vm/edge.h"
#include "vm/exception.h"

bool cn_thread_throw(struct cn_thread *thread)
{
    struct cn_tag *tag = thread->throw_tag;

    thread->throw_tag = NULL;
    if (tag != NULL) {
        struct cn_exception *made =
            (struct cn_exception *)(void *)cn_heap_new(thread->store, tag->type_id);
        if (made == NULL)
            return false;
        made->tag = tag;
        memcpy(made->values, thread->throw_values,
               tag->type->param_slots * sizeof *made->values);
        thread->thrown = made;
    }
    thread->thrown_frame_count =
        cn_thread_frames(thread, thread->thrown_frames, CN_THROWN_FRAMES);
    return true;
}

static bool takes(const struct cn_thread *thread, const struct cn_handler_entry *entry)
{
    return entry->tag == CN_ANY_TAG || thread->instance->tags[entry->tag] == thread->thrown->tag;
}

/* The handler of the frame's function that takes the exception, or NULL. */
static const struct cn_handler_entry *find_handler(const struct cn_thread *thread,
                                                   const struct cn_funcode *code)
{
    uint32_t offset = (uint32_t)(thread->pc - code->bytes);
    uint32_t level = UINT32_MAX;

    for (uint32_t i = 0; i < code->handler_count; i++) {
        const struct cn_handler_entry *entry = &code->handlers[i];
        if (offset < entry->start || offset >= entry->end || entry->level > level)
            continue;
        if (entry->label == CN_NO_LABEL)
            level = entry->level;
        else if (takes(thread, entry))
            return entry;
    }
    return NULL;
}

/* Puts the values where the handler wants them and goes there. */
static void land(struct cn_thread *thread, const struct cn_funcode *code,
                 const struct cn_handler_entry *entry)
{
    struct cn_exception *exception = thread->thrown;
    union cn_slot *to = thread->fp + entry->slot;

    if (entry->gives & CN_GIVES_REF_FIRST)
        (to++)->ref = exception;
    if (entry->gives & CN_GIVES_VALUES) {
        uint32_t slots = exception->tag->type->param_slots;
        memcpy(to, exception->values, slots * sizeof *to);
        to += slots;
    }
    if (entry->gives & CN_GIVES_REF_LAST)
        to->ref = exception;
    thread->pc = code->bytes + entry->label;
    thread->pending = entry->cost;
    thread->thrown = NULL;
    cn_thread_enter(thread, thread->instance);
}

/* On to the caller's frame. False at the outermost one. */
static bool leave_frame(struct cn_thread *thread, const struct cn_funcode *code)
{
    const union cn_slot *header = thread->fp + code->header;
    const uint8_t *back = header[0].ref;

    if (back == cn_edge_pc(&cn_exit_edge))
        return false;
    thread->fp = header[1].ref;
    if (back == cn_edge_pc(&cn_switch_edge)) {
        struct cn_switch *outer = &thread->switches[--thread->switch_count];
        cn_thread_enter(thread, outer->instance);
        back = outer->pc;
    }
    thread->pc = back - 1; /* inside the call */
    return true;
}

enum cn_stop cn_thread_unwind(struct cn_thread *thread)
{
    for (;;) {
        if (thread->fuel < 1) {
            thread->wanted = 1;
            return CN_STOP_FUEL;
        }
        thread->wanted = 0;
        thread->fuel--;
        const struct cn_funcode *code = cn_program_find(thread->instance->program, thread->pc);
        const struct cn_handler_entry *entry = find_handler(thread, code);
        if (entry != NULL) {
            land(thread, code, entry);
            return CN_STOP_DONE;
        }
        if (!leave_frame(thread, code))
            break;
    }
    thread->thrown = NULL;
    thread->trap = CN_TRAP_EXCEPTION;
    cn_fail(&thread->error, CN_TRAP_EXCEPTION, CN_NO_OFFSET, "%s",
            cn_status_text(CN_TRAP_EXCEPTION));
    return CN_STOP_TRAP;
}
