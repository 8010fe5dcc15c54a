#include "vm/roots.h"

#include <assert.h>

#include "vm/edge.h"
#include "vm/exception.h"
#include "vm/maps.h"
#include "vm/store.h"
#include "vm/types.h"

#define FRAME_WORK 4
#define THING_WORK 2 /* a global, a table... */

void cn_roots_begin(struct cn_root_cursor *cursor, const struct cn_store *store)
{
    *cursor = (struct cn_root_cursor){.handle = store->handles,
                                      .thread = store->threads,
                                      .host_global = store->globals,
                                      .host_table = store->tables,
                                      .instance = store->instances};
}

/* ------------------------------------------------------------------ frames */

static void mark_slots(struct cn_heap *heap, const union cn_slot *frame,
                       const struct cn_root_map *map, int64_t *work)
{
    *work -= FRAME_WORK + map->count;
    for (uint32_t i = 0; i < map->count; i++) {
        if (!map->has_bits) {
            cn_heap_mark(heap, frame[map->words[i]].u64);
            continue;
        }
        for (uint32_t bits = map->words[i]; bits != 0; bits &= bits - 1)
            cn_heap_mark(heap, frame[i * 16 + (uint32_t)__builtin_ctz(bits)].u64);
    }
}

/* Values one after another, as calls hand them over. */
static void mark_values(struct cn_heap *heap, const union cn_slot *slots, const cn_valtype *types,
                        uint32_t count, int64_t *work)
{
    *work -= FRAME_WORK + count;
    for (uint32_t i = 0; i < count; slots += cn_valtype_slots(types[i]), i++)
        if (cn_valtype_is_heap_ref(types[i]))
            cn_heap_mark(heap, slots->u64);
}

static void mark_params(struct cn_heap *heap, const union cn_slot *slots,
                        const struct cn_functype *type, int64_t *work)
{
    mark_values(heap, slots, cn_functype_params(type), type->param_count, work);
}

static bool is_at_edge(const uint8_t *pc)
{
    return pc == cn_edge_pc(&cn_exit_edge) || pc == cn_edge_pc(&cn_switch_edge);
}

/* The frames from here on are those of callers, whose slots their calls' maps tell. */
static void go_on_with(struct cn_root_cursor *cursor, const uint8_t *pc, const union cn_slot *fp)
{
    cursor->in_frames = true;
    cursor->pc = pc;
    cursor->fp = fp;
}

static void go_on_with_caller(struct cn_root_cursor *cursor, const union cn_slot *fp,
                              uint32_t header)
{
    go_on_with(cursor, fp[header].ref, fp[header + 1].ref);
}

/* Where a host call is being made, its arguments are all that lives of the frame that a tail
 * call replaces. */
static void begin_at_host_call(struct cn_root_cursor *cursor, struct cn_heap *heap,
                               const struct cn_thread *thread, int64_t *work)
{
    mark_params(heap, thread->host_slots, thread->host_call->type, work);
    if (thread->is_tail_call)
        go_on_with_caller(cursor, thread->fp, thread->tail_header);
    else
        go_on_with(cursor, thread->pc, thread->fp);
}

/* A function that has been entered and has no code yet. */
static void begin_at_entry(struct cn_root_cursor *cursor, struct cn_heap *heap,
                           const struct cn_thread *thread, const struct cn_funcode *code,
                           int64_t *work)
{
    mark_params(heap, thread->fp, cn_module_type_of(thread->instance->module, code->func), work);
    go_on_with_caller(cursor, thread->fp, code->header);
}

static void begin_in_code(struct cn_root_cursor *cursor, struct cn_heap *heap,
                          const struct cn_thread *thread, int64_t *work)
{
    const struct cn_funcode *code = cn_thread_code_at(thread);

    assert(code != NULL);
    if (thread->pc == (const uint8_t *)&code->stub) {
        begin_at_entry(cursor, heap, thread, code, work);
        return;
    }
    const struct cn_root_map *map =
        cn_funcode_map_at(code, (uint32_t)(thread->pc - code->bytes));
    if (map != NULL)
        mark_slots(heap, thread->fp, map, work);
    go_on_with_caller(cursor, thread->fp, code->header);
}

/* An exception looks for its handler in the frame at fp: where it was thrown, or inside a call. */
static void begin_at_throw(struct cn_root_cursor *cursor, struct cn_heap *heap,
                           const struct cn_thread *thread, int64_t *work)
{
    const struct cn_funcode *code = cn_thread_code_at(thread);
    uint32_t offset = (uint32_t)(thread->pc - code->bytes);

    cn_heap_mark(heap, (uintptr_t)thread->thrown);
    const struct cn_root_map *map = offset % 8 == 0 ? cn_funcode_map_at(code, offset)
                                                    : cn_map_of_call(thread->pc + 1);
    if (map != NULL)
        mark_slots(heap, thread->fp, map, work);
    go_on_with_caller(cursor, thread->fp, code->header);
}

static void begin_thread(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_thread *thread = cursor->thread;

    cursor->switches = thread->switch_count;
    if (thread->thrown != NULL)
        begin_at_throw(cursor, heap, thread, work);
    else if (thread->host_call != NULL)
        begin_at_host_call(cursor, heap, thread, work);
    else if (thread->needs != NULL)
        begin_at_entry(cursor, heap, thread, thread->needs, work);
    else if (is_at_edge(thread->pc))
        go_on_with(cursor, thread->pc, thread->fp);
    else
        begin_in_code(cursor, heap, thread, work);
}

/* One more frame, or the thread's end. */
static void step_frame(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const uint8_t *pc = cursor->pc;

    if (pc == cn_edge_pc(&cn_switch_edge))
        pc = cursor->thread->switches[--cursor->switches].pc;
    if (pc == cn_edge_pc(&cn_exit_edge)) {
        cursor->in_frames = false;
        cursor->thread = cursor->thread->next;
        return;
    }
    const struct cn_root_map *map = cn_map_of_call(pc);
    mark_slots(heap, cursor->fp, map, work);
    go_on_with_caller(cursor, cursor->fp, map->header);
}

static void step_threads(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_thread *thread = cursor->thread;

    *work -= THING_WORK;
    if (cursor->in_frames) {
        step_frame(cursor, heap, work);
        return;
    }
    if (thread->state == CN_THREAD_RUNS) {
        begin_thread(cursor, heap, work);
        return;
    }
    if (thread->state == CN_THREAD_DONE)
        mark_values(heap, thread->stack, cn_functype_results(thread->called->type),
                    thread->called->type->result_count, work);
    cursor->thread = thread->next;
}

/* ------------------------------------------------------------------ instances */

static bool next_instance(struct cn_root_cursor *cursor)
{
    cursor->instance = cursor->instance->next;
    cursor->index = 0;
    cursor->at = 0;
    return cursor->instance != NULL;
}

static void step_globals(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_module *module = cursor->instance->module;
    uint32_t own = module->global_count - module->imported_global_count;

    *work -= THING_WORK;
    if (cursor->index == own) {
        next_instance(cursor);
        return;
    }
    const struct cn_global *global =
        cursor->instance->globals[module->imported_global_count + cursor->index++];
    if (cn_valtype_is_heap_ref(global->type.type))
        cn_heap_mark(heap, global->value.u64);
}

/* Marks some references of an array; true when it has come to its end. */
static bool step_array(struct cn_root_cursor *cursor, struct cn_heap *heap, void *const *array,
                       uint64_t count, int64_t *work)
{
    uint64_t more = count - cursor->at;
    uint64_t end = cursor->at + (more < 1024 ? more : 1024);

    *work -= THING_WORK + (int64_t)(end - cursor->at);
    for (; cursor->at < end; cursor->at++)
        cn_heap_mark(heap, (uintptr_t)array[cursor->at]);
    if (end < count)
        return false;
    cursor->at = 0;
    cursor->index++;
    return true;
}

static void step_tables(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_module *module = cursor->instance->module;

    if (cursor->index == module->table_count - module->imported_table_count) {
        *work -= THING_WORK;
        next_instance(cursor);
        return;
    }
    const struct cn_table *table =
        cursor->instance->tables[module->imported_table_count + cursor->index];
    step_array(cursor, heap, table->elements,
               cn_valtype_is_heap_ref(table->type) ? table->size : 0, work);
}

static void step_elements(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_instance *instance = cursor->instance;

    if (cursor->index == instance->module->element_count) {
        *work -= THING_WORK;
        next_instance(cursor);
        return;
    }
    void *const *values = instance->element_values[cursor->index];
    step_array(cursor, heap, values,
               values != NULL ? instance->module->elements[cursor->index].count : 0, work);
}

/* ------------------------------------------------------------------ the host's */

static void step_host_globals(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_global *global = &cursor->host_global->global;

    if (cn_valtype_is_heap_ref(global->type.type))
        cn_heap_mark(heap, global->value.u64);
    cursor->host_global = cursor->host_global->next;
    *work -= THING_WORK;
}

static void step_host_tables(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    const struct cn_table *table = &cursor->host_table->table;

    if (step_array(cursor, heap, table->elements,
                   cn_valtype_is_heap_ref(table->type) ? table->size : 0, work))
        cursor->host_table = cursor->host_table->next;
}

/* ------------------------------------------------------------------ all of them */

static void step_handles(struct cn_root_cursor *cursor, struct cn_heap *heap, int64_t *work)
{
    cn_heap_mark(heap, cursor->handle->reference);
    cursor->handle = cursor->handle->next;
    *work -= THING_WORK;
}

/* Whether something of the present place is left. */
static bool has_more(const struct cn_root_cursor *cursor)
{
    switch (cursor->place) {
    case CN_ROOTS_HANDLES:
        return cursor->handle != NULL;
    case CN_ROOTS_THREADS:
        return cursor->thread != NULL;
    case CN_ROOTS_HOST_GLOBALS:
        return cursor->host_global != NULL;
    case CN_ROOTS_HOST_TABLES:
        return cursor->host_table != NULL;
    default:
        return cursor->instance != NULL;
    }
}

bool cn_roots_step(struct cn_root_cursor *cursor, struct cn_store *store, int64_t *work)
{
    static void (*const steps[])(struct cn_root_cursor *, struct cn_heap *, int64_t *) = {
        [CN_ROOTS_HANDLES] = step_handles, [CN_ROOTS_THREADS] = step_threads,
        [CN_ROOTS_HOST_GLOBALS] = step_host_globals, [CN_ROOTS_HOST_TABLES] = step_host_tables,
        [CN_ROOTS_GLOBALS] = step_globals, [CN_ROOTS_TABLES] = step_tables,
        [CN_ROOTS_ELEMENTS] = step_elements,
    };

    while (cursor->place != CN_ROOTS_DONE && *work > 0) {
        if (has_more(cursor)) {
            steps[cursor->place](cursor, store->heap, work);
            continue;
        }
        cursor->place++;
        cursor->instance = store->instances;
        cursor->index = 0;
    }
    return cursor->place == CN_ROOTS_DONE;
}
