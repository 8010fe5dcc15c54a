/* Traps of wasm.h, and the frames that they show. */
#include <stdarg.h>
#include <stdio.h>

#include "api/wasm_internal.h"

wasm_trap_t *cn_wasm_trap_with(wasm_store_t *store, const void *text, size_t size)
{
    struct wasm_ref_t *ref = cn_wasm_ref_new(store, CN_WASM_TRAP);

    if (ref != NULL) {
        ref->trap = cn_alloc(cn_heap, sizeof *ref->trap);
        if (ref->trap != NULL)
            wasm_byte_vec_new_uninitialized(&ref->trap->message, size + 1);
        if (ref->trap != NULL && ref->trap->message.size > 0) {
            if (size > 0)
                memcpy(ref->trap->message.data, text, size); /* the zero stands behind it */
            return (wasm_trap_t *)ref;
        }
        cn_wasm_ref_drop(ref);
    }
    if (store->last_resort != NULL)
        cn_wasm_ref_take(&store->last_resort->ref);
    return store->last_resort;
}

wasm_trap_t *cn_wasm_trap(wasm_store_t *store, const char *format, ...)
{
    char text[CN_ERROR_TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return cn_wasm_trap_with(store, text, strlen(text));
}

wasm_trap_t *wasm_trap_new(wasm_store_t *store, const wasm_message_t *message)
{
    size_t size = message->size;

    if (size > 0 && message->data[size - 1] == '\0')
        size--;
    return cn_wasm_trap_with(store, message->data, size);
}

void wasm_trap_message(const wasm_trap_t *trap, wasm_message_t *out)
{
    wasm_byte_vec_copy(out, &trap->ref.trap->message);
}

/* ------------------------------------------------------------------ frames */

/* False when there is no reference to the frame's instance: that is one of an instantiation that
 * failed, or failed to be made. */
static bool show_frame(wasm_store_t *store, const struct cn_frame *frame,
                       struct cn_wasm_frame *shown)
{
    const struct cn_funcdecl *func = &frame->instance->module->funcs[frame->code->func];
    struct wasm_ref_t *instance =
        cn_wasm_ref_find(store, CN_WASM_INSTANCE, (uintptr_t)frame->instance);
    struct cn_origin origin;

    if (instance == NULL)
        return false;
    *shown = (struct cn_wasm_frame){.instance = instance, .index = frame->code->func};
    if (instance->code != NULL && cn_api_origin(instance->code->module, frame, &origin)) {
        shown->module_offset = origin.wasm_offset;
        shown->func_offset = origin.wasm_offset -
                             cn_module_offset(frame->instance->module, func->body.at);
    }
    bool is_known = instance->code != NULL;
    cn_wasm_ref_drop(instance); /* it lives as long as the store */
    return is_known;
}

void cn_wasm_trap_add_frames(wasm_trap_t *trap, const struct cn_thread *thread)
{
    struct cn_frame frames[CN_WASM_FRAMES_MAX];
    wasm_store_t *store = trap->ref.store;
    struct cn_wasm_trap *shown = trap->ref.trap;

    if (trap == store->last_resort)
        return;
    uint32_t room = CN_WASM_FRAMES_MAX - shown->frame_count;
    uint32_t count = cn_thread_frames(thread, frames, room);
    for (uint32_t i = 0; i < count; i++)
        shown->frame_count += show_frame(store, &frames[i], &shown->frames[shown->frame_count]);
}

struct wasm_frame_t {
    struct cn_wasm_frame frame; /* with a handle of the instance's */
};

static wasm_frame_t *new_frame(const struct cn_wasm_frame *from)
{
    wasm_frame_t *frame = cn_alloc(cn_heap, sizeof *frame);

    if (frame == NULL)
        return NULL;
    frame->frame = *from;
    cn_wasm_ref_take(from->instance);
    return frame;
}

wasm_frame_t *wasm_frame_copy(const wasm_frame_t *frame)
{
    return new_frame(&frame->frame);
}

void wasm_frame_delete(wasm_frame_t *frame)
{
    if (frame == NULL)
        return;
    cn_wasm_ref_drop(frame->frame.instance);
    cn_free(cn_heap, frame, sizeof *frame);
}

wasm_instance_t *wasm_frame_instance(const wasm_frame_t *frame)
{
    return (wasm_instance_t *)frame->frame.instance;
}

uint32_t wasm_frame_func_index(const wasm_frame_t *frame)
{
    return frame->frame.index;
}

size_t wasm_frame_func_offset(const wasm_frame_t *frame)
{
    return frame->frame.func_offset;
}

size_t wasm_frame_module_offset(const wasm_frame_t *frame)
{
    return frame->frame.module_offset;
}

wasm_frame_t *wasm_trap_origin(const wasm_trap_t *trap)
{
    return trap->ref.trap->frame_count > 0 ? new_frame(&trap->ref.trap->frames[0]) : NULL;
}

void wasm_trap_trace(const wasm_trap_t *trap, wasm_frame_vec_t *out)
{
    const struct cn_wasm_trap *shown = trap->ref.trap;

    wasm_frame_vec_new_uninitialized(out, shown->frame_count);
    for (size_t i = 0; i < out->size; i++) {
        out->data[i] = new_frame(&shown->frames[i]);
        if (out->data[i] == NULL)
            out->size = i; /* no memory left: the inner frames are all that is told */
    }
}
