/* memory.atomic.wait and notify: queues by themselves, and threads of one store. */
#include "tests/unit/machine_fixture.h"

#include "core/alloc.h"
#include "loader/text.h"
#include "vm/heap.h"

#define FOR_EVER UINT64_MAX

Test(sleeper, those_who_wait_at_the_address_are_woken_in_their_order)
{
    struct cn_sleep_queue queue = {NULL, NULL};
    struct cn_sleeper s[6] = {{0}};
    static const uint64_t addresses[] = {8, 16, 8, 8, 16, 8};

    for (int i = 0; i < 6; i++)
        cn_sleep_begin(&queue, &s[i], addresses[i], FOR_EVER);
    cr_expect_eq(cn_sleep_notify(&queue, 4, 10), 0);
    cr_expect_eq(cn_sleep_notify(&queue, 8, 0), 0);
    cr_expect_eq(cn_sleep_notify(&queue, 8, 2), 2);
    cr_expect(s[0].state == CN_WOKEN && s[2].state == CN_WOKEN && s[3].state == CN_ASLEEP);
    cn_sleep_end(&s[4], CN_OVERSLEPT);
    cn_sleep_end(&s[4], CN_AWAKE);
    cr_expect_eq(cn_sleep_notify(&queue, 16, UINT32_MAX), 1);
    cr_expect_eq(s[1].state, CN_WOKEN);
    cr_expect_eq(cn_sleep_notify(&queue, 8, UINT32_MAX), 2);
    cr_expect(queue.first == NULL && queue.last == NULL);
    cn_sleep_begin(&queue, &s[0], 8, 5);
    cn_sleep_forget(&queue);
    cr_expect_eq(s[0].state, CN_OVERSLEPT);
    cr_expect_null(queue.first);
}

/* (module
 *   (memory 1 2 shared)
 *   (func (param i32 i32 i64) (result i32)
 *     (memory.atomic.wait32 (local.get 0) (local.get 1) (local.get 2)))
 *   (func (param i32 i32) (result i32)
 *     (memory.atomic.notify (local.get 0) (local.get 1)))
 *   (func (param i32) (result i32) (memory.grow (local.get 0)))
 *   (func (param i32) (result i32)
 *     (drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1)))
 *     (i32.load (local.get 0)))) */
static const uint8_t sample[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x13, 0x03, 0x60, 0x03, 0x7f, 0x7f, 0x7e,
    0x01, 0x7f, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f, 0x60, 0x01, 0x7f, 0x01, 0x7f, 0x03, 0x05, 0x04,
    0x00, 0x01, 0x02, 0x02, 0x05, 0x04, 0x01, 0x03, 0x01, 0x02, 0x0a, 0x33, 0x04, 0x0c, 0x00, 0x20,
    0x00, 0x20, 0x01, 0x20, 0x02, 0xfe, 0x01, 0x02, 0x00, 0x0b, 0x0a, 0x00, 0x20, 0x00, 0x20, 0x01,
    0xfe, 0x00, 0x02, 0x00, 0x0b, 0x06, 0x00, 0x20, 0x00, 0x40, 0x00, 0x0b, 0x12, 0x00, 0x41, 0x08,
    0x41, 0x00, 0x42, 0x7f, 0xfe, 0x01, 0x02, 0x00, 0x1a, 0x20, 0x00, 0x28, 0x02, 0x00, 0x0b,
};
enum { WAIT, NOTIFY, GROW, WAIT_AND_LOAD };

static void open_threads(struct machine *t)
{
    machine_open(t, (struct cn_bytes){sample, sizeof sample});
}

static enum cn_stop call(struct machine *t, int thread, int func, uint32_t a, uint32_t b,
                         int64_t c)
{
    const union cn_slot arguments[3] = {{.u64 = a}, {.u64 = b}, {.i64 = c}};

    return machine_start(t, thread, func, arguments);
}

static enum cn_stop go_on(struct machine *t, int thread)
{
    return cn_thread_run(t->threads[thread], 1000);
}

static uint32_t result(const struct machine *t, int thread)
{
    return t->threads[thread]->stack[0].u32;
}

Test(sleeper, threads_wait_and_wake_each_other)
{
    struct machine t;

    open_threads(&t);
    cr_expect_eq(call(&t, 0, WAIT, 8, 0, -1), CN_STOP_PARKED);
    cr_expect_eq(call(&t, 1, WAIT, 8, 0, 1000), CN_STOP_PARKED);
    cr_expect_eq(call(&t, 2, WAIT, 8, 1, -1), CN_STOP_DONE, "another value");
    cr_expect_eq(result(&t, 2), 1);
    cr_expect_eq(call(&t, 2, WAIT, 12, 0, INT64_MIN), CN_STOP_PARKED);
    cr_expect_eq(t.threads[1]->sleeper.timeout_ns, 1000);
    cr_expect_eq(t.threads[2]->sleeper.timeout_ns, FOR_EVER);
    cr_expect_eq(go_on(&t, 0), CN_STOP_PARKED, "run again without cause");
    cr_expect_eq(cn_thread_due(t.threads[0]), 0, "a wait costs nothing");

    t.f.store->move_on_grow = true;
    cr_expect_eq(call(&t, 3, GROW, 1, 0, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 3), 1);
    cr_expect_eq(call(&t, 3, NOTIFY, 8, 1, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 3), 1);
    cr_expect_eq(go_on(&t, 1), CN_STOP_PARKED);
    cr_expect_eq(go_on(&t, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 0), 0);

    cn_sleep_end(&t.threads[1]->sleeper, CN_OVERSLEPT);
    cr_expect_eq(call(&t, 3, NOTIFY, 8, 1, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 3), 0);
    cr_expect_eq(go_on(&t, 1), CN_STOP_DONE);
    cr_expect_eq(result(&t, 1), 2);
    machine_close(&t);
}

Test(sleeper, a_thread_that_goes_away_waits_no_longer)
{
    struct machine t;

    open_threads(&t);
    cr_expect_eq(call(&t, 0, WAIT, 8, 0, -1), CN_STOP_PARKED);
    cr_expect_eq(call(&t, 1, WAIT, 8, 0, -1), CN_STOP_PARKED);
    cn_thread_free(t.threads[0]);
    t.threads[0] = NULL;
    cr_expect_eq(call(&t, 1, NOTIFY, 8, 9, 0), CN_STOP_DONE, "its wait was given up");
    cr_expect_eq(result(&t, 1), 0);
    cr_expect_eq(call(&t, 1, WAIT, 8, 0, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 1), 2);
    machine_close(&t);
}

Test(sleeper, one_woken_between_its_runs_does_not_look_at_the_value_again)
{
    struct machine t;

    open_threads(&t);
    cr_expect_eq(call(&t, 0, WAIT, 8, 0, -1), CN_STOP_PARKED);
    t.f.instance->memories[0]->base[8] = 1;
    cr_expect_eq(call(&t, 1, NOTIFY, 8, 9, 0), CN_STOP_DONE);
    cr_expect_eq(go_on(&t, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 0), 0);
    machine_close(&t);
}

Test(sleeper, memory_that_another_thread_grew_is_there)
{
    struct machine t;

    open_threads(&t);
    t.f.store->move_on_grow = true;
    cr_expect_eq(call(&t, 0, WAIT_AND_LOAD, CN_PAGE_SIZE, 0, 0), CN_STOP_PARKED);
    cr_expect_eq(call(&t, 1, GROW, 1, 0, 0), CN_STOP_DONE);
    t.f.instance->memories[0]->base[CN_PAGE_SIZE] = 42;
    cr_expect_eq(call(&t, 1, NOTIFY, 8, 1, 0), CN_STOP_DONE);
    cr_expect_eq(go_on(&t, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 0), 42);
    machine_close(&t);
}

/* What a sleeper holds is alive, also when another thread collects. */
static const char holding[] =
    "(memory 1 1 shared)"
    "(type $box (struct (field i32)))"
    "(func (param i32) (result i32)"
    "  (local $kept (ref null $box))"
    "  (local.set $kept (struct.new $box (local.get 0)))"
    "  (struct.new $box (i32.const 7))" /* on the operand stack */
    "  (drop (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1)))"
    "  (i32.add (struct.get $box 0) (struct.get $box 0 (local.get $kept))))"
    "(func (param i32) (result i32)"
    "  (loop (drop (struct.new $box (i32.const 1)))"
    "    (local.set 0 (i32.sub (local.get 0) (i32.const 1)))"
    "    (br_if 0 (local.get 0)))"
    "  (memory.atomic.notify (i32.const 8) (i32.const 9)))";

Test(sleeper, keeps_what_it_holds_alive)
{
    struct machine t;
    struct cn_buffer binary = {.allocator = cn_heap};
    struct cn_error error;

    cr_assert_eq(cn_text_to_binary(cn_bytes_of(holding), &binary, NULL, &error), CN_OK, "%s",
                 error.text);
    machine_open(&t, (struct cn_bytes){binary.bytes, binary.size});
    cr_expect_eq(call(&t, 0, 0, 1000, 0, 0), CN_STOP_PARKED);
    cn_heap_collect_always(t.f.store, true);
    enum cn_stop stop = call(&t, 1, 1, 50, 0, 0);
    while (stop == CN_STOP_YIELD)
        stop = go_on(&t, 1);
    cr_expect_eq(stop, CN_STOP_DONE);
    cr_expect_eq(result(&t, 1), 1);
    cn_store_collect(t.f.store);
    cr_expect_eq(cn_heap_stats(t.f.store).objects, 2);
    cr_expect_eq(go_on(&t, 0), CN_STOP_DONE);
    cr_expect_eq(result(&t, 0), 1007);
    machine_close(&t);
    cn_buffer_free(&binary);
}
