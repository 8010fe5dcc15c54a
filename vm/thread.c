#include "vm/thread.h"

#include <string.h>
#include <sys/mman.h>

#include "handlers_made.h"
#include "vm/edge.h"
#include "vm/exception.h"
#include "vm/heap.h"
#include "vm/pages.h"
#include "vm/stock.h"

/* A stack begins with this much of its room in use and doubles; what is in use is charged. */
#define STACK_FIRST ((size_t)64 * 1024)
/* So much it may come to when its quota is raised while it runs. */
#define STACK_ROOM ((size_t)1 << 30)
#define SWITCHES_MAX 1000000u

/* What follows an edge costs nothing. */
struct cn_edge {
    uint32_t unused, after;
    cn_handler *handler;
};
const struct cn_edge cn_exit_edge = {0, 0, cn_op_exit};
const struct cn_edge cn_switch_edge = {0, 0, cn_op_switch_back};

const uint8_t *cn_edge_pc(const struct cn_edge *edge)
{
    return (const uint8_t *)&edge->handler;
}

static uint32_t after_cost(const uint8_t *pc)
{
    return cn_load_u32(pc - 4);
}

static size_t whole_slots(uint64_t size)
{
    if (size > SIZE_MAX / 2)
        size = SIZE_MAX / 2;
    return (size_t)size & ~(sizeof(union cn_slot) - 1);
}

/* The pages that a stack of that size may come to. */
static size_t pages_of_stack(size_t size)
{
    return size > STACK_FIRST ? (size_t)cn_whole_pages(size) : STACK_FIRST;
}

/* What may be used is where it may be, and no more than the limit. */
static void set_end(struct cn_thread *thread)
{
    size_t size = thread->stack_size < thread->stack_mapped ? thread->stack_size
                                                            : thread->stack_mapped;

    thread->stack_end = thread->stack + size / sizeof *thread->stack;
    cn_account_reach(thread->store->account, CN_QUOTA_STACK, size);
}

/* Address space, the beginning of which can be used; if there is any, more than is needed now. */
static void *map_stack(struct cn_stock *stock, size_t size, size_t *room)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    *room = size > STACK_ROOM ? size : STACK_ROOM;
    void *stack = cn_stock_find(stock, *room);
    if (stack != NULL)
        return stack;
    stack = mmap(NULL, *room, PROT_NONE, how, -1, 0);
    if (stack == MAP_FAILED && *room > size) {
        *room = size;
        stack = mmap(NULL, size, PROT_NONE, how, -1, 0);
    }
    if (stack == MAP_FAILED)
        return NULL;
    if (mprotect(stack, STACK_FIRST, PROT_READ | PROT_WRITE) != 0) {
        munmap(stack, *room);
        return NULL;
    }
    madvise(stack, *room, MADV_DONTDUMP);
    return stack;
}

enum cn_status cn_thread_new(struct cn_store *store, size_t stack_size,
                             struct cn_thread **result)
{
    size_t room;
    struct cn_thread *thread = cn_alloc(store->allocator, sizeof *thread);
    if (thread == NULL)
        return CN_NO_MEMORY;
    if (cn_account_charge(store->account, CN_QUOTA_MEMORY, STACK_FIRST) != CN_OK) {
        cn_free(store->allocator, thread, sizeof *thread);
        return CN_NO_MEMORY;
    }
    void *stack = map_stack(store->stock, pages_of_stack(whole_slots(stack_size)), &room);
    if (stack == NULL) {
        cn_account_refund(store->account, CN_QUOTA_MEMORY, STACK_FIRST);
        cn_free(store->allocator, thread, sizeof *thread);
        return CN_NO_MEMORY;
    }
    thread->store = store;
    thread->stack = stack;
    thread->stack_size = whole_slots(stack_size);
    thread->stack_room = room;
    thread->stack_mapped = STACK_FIRST;
    set_end(thread);
    cn_heap_finish(store);
    thread->next = store->threads;
    thread->link = &store->threads;
    if (thread->next != NULL)
        thread->next->link = &thread->next;
    store->threads = thread;
    *result = thread;
    return CN_OK;
}

/* Gives the stack to others as it was when it was new; false when it is not worth that. */
static bool keep_stack(struct cn_thread *thread)
{
    struct cn_stock *stock = thread->store->stock;

    /* One that has grown is not; and nothing else that is kept is so large. */
    if (stock == NULL || thread->stack_room < STACK_ROOM || thread->stack_mapped != STACK_FIRST ||
        !cn_stock_clear(thread->stack, STACK_FIRST))
        return false;
    cn_stock_keep(stock, thread->stack, thread->stack_room);
    return true;
}

bool cn_thread_give_back(struct cn_thread *thread, size_t most)
{
    size_t in_use = thread->stack_mapped;
    uint8_t *end = (uint8_t *)thread->stack + in_use;

    if (keep_stack(thread)) {
        thread->stack_room = thread->stack_mapped = 0;
        thread->stack_end = thread->stack;
        cn_account_refund(thread->store->account, CN_QUOTA_MEMORY, in_use);
        return true;
    }
    /* Nothing was ever written there. */
    if (thread->stack_room > in_use)
        munmap(end, thread->stack_room - in_use);
    thread->stack_room = (size_t)cn_pages_shrink(thread->stack, in_use, most);
    thread->stack_mapped = thread->stack_room;
    thread->stack_end = thread->stack + thread->stack_room / sizeof *thread->stack;
    cn_account_refund(thread->store->account, CN_QUOTA_MEMORY, in_use - thread->stack_room);
    return thread->stack_room == 0;
}

void cn_thread_free(struct cn_thread *thread)
{
    if (thread == NULL)
        return;
    struct cn_store *store = thread->store;
    cn_sleep_end(&thread->sleeper, CN_AWAKE);
    cn_heap_finish(store);
    *thread->link = thread->next;
    if (thread->next != NULL)
        thread->next->link = thread->link;
    (void)cn_thread_give_back(thread, SIZE_MAX);
    cn_free(store->allocator, thread->switches,
            thread->switch_room * sizeof *thread->switches);
    cn_free(store->allocator, thread, sizeof *thread);
}

void cn_thread_enter(struct cn_thread *thread, struct cn_instance *instance)
{
    thread->instance = instance;
    thread->globals = instance->globals;
    thread->tables = instance->tables;
    thread->funcs = instance->funcs;
    thread->type_ids = instance->type_ids;
    thread->memory = instance->memories[0];
    thread->memory_size = thread->memory->size;
}

void cn_thread_limit_stack(struct cn_thread *thread, uint64_t size)
{
    size_t whole = whole_slots(size);

    thread->stack_size = whole < thread->stack_room ? whole : thread->stack_room;
}

static bool add_pages(struct cn_thread *thread, size_t more)
{
    struct cn_account *account = thread->store->account;
    uint8_t *end = (uint8_t *)thread->stack + thread->stack_mapped;

    if (cn_account_charge(account, CN_QUOTA_MEMORY, more) != CN_OK)
        return false;
    if (mprotect(end, more, PROT_READ | PROT_WRITE) == 0) {
        thread->stack_mapped += more;
        return true;
    }
    cn_account_refund(account, CN_QUOTA_MEMORY, more);
    return false;
}

/* Makes room for so much, in doubling steps where the memory quota has that. */
static bool map_to(struct cn_thread *thread, size_t wanted)
{
    size_t most = pages_of_stack(thread->stack_size);

    while (thread->stack_mapped < wanted) {
        size_t left = most - thread->stack_mapped;
        size_t twice = thread->stack_mapped < left ? thread->stack_mapped : left;
        if (!add_pages(thread, twice) &&
            !add_pages(thread, cn_whole_pages(wanted - thread->stack_mapped)))
            return false;
    }
    return true;
}

/* Makes room for `slots` from fp on, within the stack's size and the memory quota. */
static bool add_room(struct cn_thread *thread, const union cn_slot *fp, size_t slots)
{
    size_t before = (size_t)((const uint8_t *)fp - (const uint8_t *)thread->stack);
    bool fits = before <= thread->stack_size &&
                slots <= (thread->stack_size - before) / sizeof *fp;

    if (!fits)
        thread->store->account->refused[CN_QUOTA_STACK]++;
    thread->lacks_memory = fits && !map_to(thread, before + slots * sizeof *fp);
    if (!fits || thread->lacks_memory)
        return false;
    set_end(thread);
    return true;
}

static inline bool grow_stack(struct cn_thread *thread, const union cn_slot *fp, size_t slots)
{
    return (size_t)(thread->stack_end - fp) >= slots || add_room(thread, fp, slots);
}

/* Sets the thread before the first instruction of a function whose frame begins at `frame`
 * with its arguments in place. False when the stack is exhausted. */
static bool link_frame(struct cn_thread *thread, const struct cn_funcode *code,
                       union cn_slot *frame, const uint8_t *back)
{
    if (!grow_stack(thread, frame, code->frame))
        return false;
    frame[code->header].ref = (void *)(uintptr_t)back;
    frame[code->header + 1].ref = thread->fp;
    thread->fp = frame;
    thread->pc = code->entry;
    thread->pending = code->entry_cost;
    return true;
}

static enum cn_stop stop_trap(struct cn_thread *thread, enum cn_status trap)
{
    thread->trap = trap;
    if (trap == CN_TRAP_UNINITIALIZED_ELEMENT)
        cn_fail(&thread->error, trap, CN_NO_OFFSET, "%s %llu", cn_status_text(trap),
                (unsigned long long)thread->trap_number);
    else if (thread->error.status != trap)
        cn_fail(&thread->error, trap, CN_NO_OFFSET, "%s", cn_status_text(trap));
    return CN_STOP_TRAP;
}

enum cn_status cn_thread_call(struct cn_thread *thread, struct cn_func *func,
                              const union cn_slot *arguments)
{
    uint32_t params = func->type->param_slots;
    uint32_t results = func->type->result_slots;

    cn_heap_finish(thread->store);
    thread->state = CN_THREAD_IDLE;
    if (!grow_stack(thread, thread->stack, (params > results ? params : results) + 2))
        return CN_TRAP_STACK_OVERFLOW;
    for (uint32_t i = 0; i < params; i++) /* few */
        thread->stack[i] = arguments[i];
    cn_sleep_end(&thread->sleeper, CN_AWAKE);
    thread->fp = thread->stack;
    thread->pc = cn_edge_pc(&cn_exit_edge);
    thread->pending = thread->wanted = 0;
    thread->switch_count = 0;
    thread->host_call = NULL;
    thread->needs = NULL;
    thread->growing = NULL;
    thread->thrown = NULL;
    thread->error.status = CN_OK;
    thread->error.text[0] = '\0';
    thread->is_tail_call = false;
    thread->called = func;
    thread->state = CN_THREAD_RUNS;
    if (func->instance == NULL) {
        thread->host_call = func;
        thread->host_slots = thread->stack;
        thread->host_call_tried = false;
        return CN_OK;
    }
    cn_thread_enter(thread, func->instance);
    if (link_frame(thread, func->code, thread->stack, cn_edge_pc(&cn_exit_edge)))
        return CN_OK;
    thread->state = CN_THREAD_IDLE;
    return CN_TRAP_STACK_OVERFLOW;
}

/* The upper half of an i32 in a slot is unspecified inside the machine; outside it is 0. */
static void clean_slots(union cn_slot *slots, const cn_valtype *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; slots += cn_valtype_slots(types[i]), i++)
        if (types[i] == CN_I32 || types[i] == CN_F32)
            slots->u64 = slots->u32;
}

static enum cn_stop stop_of_status(struct cn_thread *thread, enum cn_status status)
{
    switch (status) {
    case CN_PARKED:
        return CN_STOP_PARKED;
    case CN_YIELD:
        return CN_STOP_YIELD;
    case CN_EXITED:
        return CN_STOP_EXITED;
    default:
        if (cn_status_is_trap(status))
            return stop_trap(thread, status);
        if (thread->error.status != status)
            cn_fail(&thread->error, status, CN_NO_OFFSET, "%s", cn_status_text(status));
        return CN_STOP_FAILED;
    }
}

/* Leaves the frame at fp for its caller: what a tail call of a foreign function comes to. */
static void return_from_frame(struct cn_thread *thread, const union cn_slot *results,
                              uint32_t count)
{
    const union cn_slot header[2] = {thread->fp[thread->tail_header],
                                     thread->fp[thread->tail_header + 1]};

    memmove(thread->fp, results, count * sizeof *results);
    thread->pc = header[0].ref;
    thread->fp = header[1].ref;
}

/* Makes the host call that the thread stands at, for the first time or again. CN_STOP_DONE
 * means that the guest goes on. */
static enum cn_stop call_host(struct cn_thread *thread)
{
    struct cn_func *func = thread->host_call;
    const struct cn_functype *type = func->type;
    union cn_slot *slots = thread->host_slots;

    if (!thread->host_call_tried) {
        thread->call_state = (struct cn_call_state){0};
        thread->host_call_tried = true;
        clean_slots(slots, cn_functype_params(type), type->param_count);
    }
    enum cn_status status = func->host(thread, func->env, slots);
    if (status != CN_OK)
        return stop_of_status(thread, status);

    thread->host_call = NULL;
    if (type->result_count > 0) {
        thread->r0 = slots[0].u64;
        thread->f0 = slots[0].f64;
        thread->g0 = slots[0].f32;
    }
    if (thread->is_tail_call)
        return_from_frame(thread, slots, type->result_slots);
    thread->is_tail_call = false;
    thread->pending = after_cost(thread->pc);
    if (thread->on_host_call != NULL)
        thread->on_host_call(thread->on_host_call_context, thread);
    return CN_STOP_DONE;
}

static bool push_switch(struct cn_thread *thread, const uint8_t *pc)
{
    if (thread->switch_count == thread->switch_room) {
        size_t size = sizeof *thread->switches;
        uint32_t room = thread->switch_room ? thread->switch_room * 2 : 16;
        void *more = room > SWITCHES_MAX ? NULL
                                         : cn_resize(thread->store->allocator, thread->switches,
                                                     thread->switch_room * size, room * size);
        if (more == NULL)
            return false;
        thread->switches = more;
        thread->switch_room = room;
    }
    thread->switches[thread->switch_count++] = (struct cn_switch){thread->instance, pc};
    return true;
}

/* A call of a function of another instance: its frame returns to the switch edge, where the
 * driver finds the way back. */
static bool call_instance(struct cn_thread *thread, const struct cn_func *func)
{
    if (!push_switch(thread, thread->pc))
        return false;
    if (!link_frame(thread, func->code, thread->host_slots, cn_edge_pc(&cn_switch_edge)))
        return false;
    cn_thread_enter(thread, func->instance);
    return true;
}

/* As a tail call: takes over this frame's place. A frame that already returns through the
 * switch edge needs no second way back, so that tail calls to and fro take no room. */
static bool tail_call_instance(struct cn_thread *thread, const struct cn_func *func)
{
    union cn_slot *fp = thread->fp;
    const uint8_t *back = fp[thread->tail_header].ref;
    union cn_slot *caller = fp[thread->tail_header + 1].ref;

    if (back != cn_edge_pc(&cn_switch_edge)) {
        if (!push_switch(thread, back))
            return false;
        back = cn_edge_pc(&cn_switch_edge);
    }
    memmove(fp, thread->host_slots, func->type->param_slots * sizeof *fp);
    thread->fp = caller;
    if (!link_frame(thread, func->code, fp, back))
        return false;
    cn_thread_enter(thread, func->instance);
    return true;
}

/* Where the layer above wants to look at the clocks before anything of the host's runs. */
static enum cn_stop stop_at_host_call(struct cn_thread *thread)
{
    bool stops = thread->stops_at_host_call;

    thread->stops_at_host_call = false;
    return stops ? CN_STOP_YIELD : CN_STOP_DONE;
}

static enum cn_stop start_call(struct cn_thread *thread, bool is_tail_call)
{
    const struct cn_func *func = thread->host_call;

    thread->is_tail_call = is_tail_call;
    thread->host_call_tried = false;
    if (func->instance == NULL)
        return stop_at_host_call(thread);
    thread->host_call = NULL;
    bool linked = is_tail_call ? tail_call_instance(thread, func) : call_instance(thread, func);
    thread->is_tail_call = false;
    return linked ? CN_STOP_DONE : stop_trap(thread, CN_TRAP_STACK_OVERFLOW);
}

static void switch_back(struct cn_thread *thread)
{
    struct cn_switch back = thread->switches[--thread->switch_count];

    cn_thread_enter(thread, back.instance);
    thread->pc = back.pc;
    thread->pending = after_cost(back.pc);
}

/* Goes on into a function that had no code when it was called. */
static enum cn_stop enter_needed(struct cn_thread *thread)
{
    const struct cn_funcode *code = thread->needs;

    if (code->bytes == NULL)
        return CN_STOP_NEEDS_CODE;
    thread->needs = NULL;
    if (!grow_stack(thread, thread->fp, code->frame))
        return stop_trap(thread, CN_TRAP_STACK_OVERFLOW);
    thread->pc = code->entry;
    thread->pending = code->entry_cost;
    return CN_STOP_DONE;
}

/* A call found the stack too short: it is made again when the stack could be extended. */
static enum cn_stop extend_stack(struct cn_thread *thread)
{
    if (!grow_stack(thread, thread->stack_end, 1))
        return stop_trap(thread, CN_TRAP_STACK_OVERFLOW);
    return CN_STOP_DONE;
}

static void run_handlers(struct cn_thread *t)
{
    const uint8_t *pc = t->pc;
    union cn_slot *fp = t->fp;
    uint8_t *mem = t->memory ? t->memory->base : NULL;
    uint64_t r0 = t->r0, r1 = t->r1;
    double f0 = t->f0;
    float g0 = t->g0;
    CN_SPARE(uint64_t memlen = t->memory ? t->memory->size : 0; int64_t fuel = t->fuel;)

    /* Another thread may have grown the memory meanwhile. */
    t->memory_size = t->memory ? t->memory->size : 0;

    (*(cn_handler *const *)pc)(CN_ARGS(pc));
}

/* An allocation waits for a collection, or is refused for good. */
static enum cn_stop collect(struct cn_thread *thread)
{
    if (!cn_heap_begin(thread->store))
        return stop_of_status(thread, CN_NO_MEMORY);
    return cn_heap_step(thread->store) ? CN_STOP_DONE : CN_STOP_YIELD;
}

/* What follows a stop inside the machine: CN_STOP_DONE to go on, or the stop for the caller. */
static enum cn_stop handle_stop(struct cn_thread *thread)
{
    switch ((enum cn_stop)thread->stop) {
    case CN_STOP_HOST_CALL:
        return start_call(thread, false);
    case CN_STOP_TAIL_CALL:
        return start_call(thread, true);
    case CN_STOP_SWITCH_BACK:
        switch_back(thread);
        return CN_STOP_DONE;
    case CN_STOP_STACK:
        return extend_stack(thread);
    case CN_STOP_THROW:
        return cn_thread_throw(thread) ? CN_STOP_DONE : collect(thread);
    case CN_STOP_COLLECT:
        return collect(thread);
    case CN_STOP_TRAP:
        return stop_trap(thread, thread->trap);
    default:
        return (enum cn_stop)thread->stop;
    }
}

static enum cn_stop run(struct cn_thread *thread)
{
    for (;;) {
        enum cn_stop stop = CN_STOP_DONE;
        if (thread->host_call != NULL)
            stop = call_host(thread);
        else if (thread->needs != NULL)
            stop = enter_needed(thread);
        else if (thread->thrown != NULL)
            stop = cn_thread_unwind(thread);
        if (stop != CN_STOP_DONE)
            return stop;
        if ((uint64_t)thread->fuel < cn_thread_due(thread))
            return CN_STOP_FUEL;
        thread->fuel -= (int64_t)thread->pending;
        thread->pending = thread->wanted = 0;

        run_handlers(thread);
        if (thread->stop == CN_STOP_DONE)
            return CN_STOP_DONE;
        stop = handle_stop(thread);
        if (stop != CN_STOP_DONE)
            return stop;
    }
}

static enum cn_thread_state state_after(enum cn_stop stop)
{
    switch (stop) {
    case CN_STOP_DONE:
        return CN_THREAD_DONE;
    case CN_STOP_TRAP:
    case CN_STOP_EXITED:
    case CN_STOP_FAILED:
        return CN_THREAD_IDLE;
    default:
        return CN_THREAD_RUNS;
    }
}

enum cn_stop cn_thread_run(struct cn_thread *thread, int64_t slice)
{
    thread->fuel = slice;
    /* Whichever thread began it: nobody runs until a collection is finished. */
    if (cn_heap_is_collecting(thread->store) && !cn_heap_step(thread->store))
        return CN_STOP_YIELD;
    enum cn_stop stop = run(thread);
    thread->state = state_after(stop);
    return stop;
}

/* ------------------------------------------------------------------ frames */

/* A stub of a function without code is the only other place where a frame can stand. */
static const struct cn_funcode *code_at(const struct cn_instance *instance, const uint8_t *pc)
{
    struct cn_program *program = instance->program;
    const struct cn_funcode *code = cn_program_find(program, pc);
    const struct cn_funcode *first = program->funcs;
    size_t count = instance->module->func_count;

    if (code != NULL || pc < (const uint8_t *)first || pc >= (const uint8_t *)(first + count))
        return code;
    return &first[(size_t)(pc - (const uint8_t *)first) / sizeof *first];
}

uint32_t cn_thread_frames(const struct cn_thread *thread, struct cn_frame *frames, uint32_t max)
{
    const struct cn_instance *instance = thread->instance;
    const uint8_t *pc = thread->pc;
    const union cn_slot *fp = thread->fp;
    uint32_t switches = thread->switch_count, count = 0;

    if (thread->error.status == CN_TRAP_EXCEPTION) {
        count = thread->thrown_frame_count < max ? thread->thrown_frame_count : max;
        for (uint32_t i = 0; i < count; i++)
            frames[i] = thread->thrown_frames[i];
        return count;
    }
    /* A return address stands behind its call. */
    if (thread->host_call != NULL && !thread->is_tail_call)
        pc--;
    while (count < max) {
        if (pc == cn_edge_pc(&cn_switch_edge) || pc + 1 == cn_edge_pc(&cn_switch_edge)) {
            const struct cn_switch *back = &thread->switches[--switches];
            instance = back->instance;
            pc = back->pc - 1;
        }
        const struct cn_funcode *code = instance ? code_at(instance, pc) : NULL;
        if (code == NULL)
            break;
        frames[count++] = (struct cn_frame){
            instance, code, code->bytes ? (uint32_t)(pc - code->bytes) : 0};
        pc = (const uint8_t *)fp[code->header].ref - 1;
        fp = fp[code->header + 1].ref;
    }
    return count;
}

const struct cn_funcode *cn_thread_code_at(const struct cn_thread *thread)
{
    return code_at(thread->instance, thread->pc);
}
