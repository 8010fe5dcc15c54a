/* The guests of the governor's measurements, in the text format. Those that count do so in the
 * i64 at address 0, those that measure keep nanoseconds from address 1024 on. */
#ifndef BENCH_GUESTS_H
#define BENCH_GUESTS_H

#define WASI(name, type)                                                                           \
    "(import \"wasi_snapshot_preview1\" \"" name "\" (func $" name " " type "))"
#define COUNT "(i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))"
#define FOR_EVER(body) "(func (export \"_start\") (loop $l " body " (br $l)))"

static const char guest_spin[] =
    "(module (memory (export \"memory\") 1)" FOR_EVER(COUNT) ")";

/* Gives its turn up before it is over, again and again. */
static const char guest_yield[] =
    "(module " WASI("sched_yield", "(result i32)")
    "(memory (export \"memory\") 1) (global $i (mut i32) (i32.const 0))"
    FOR_EVER("(loop $w (global.set $i (i32.add (global.get $i) (i32.const 1)))"
             "  (br_if $w (i32.and (global.get $i) (i32.const 0xffff))))"
             COUNT "(drop (call $sched_yield))") ")";

#define POLL WASI("poll_oneoff", "(param i32 i32 i32 i32) (result i32)")
/* A subscription to the monotonic clock at 64, `ns` from now. */
#define SLEEP(ns)                                                                                  \
    "(i32.store (i32.const 80) (i32.const 1)) (i64.store (i32.const 88) (i64.const " ns "))"       \
    "(drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))"

/* Works for most of a turn, then sleeps for as short as it can. */
static const char guest_doze[] =
    "(module " POLL "(memory (export \"memory\") 1) (global $i (mut i32) (i32.const 0))"
    FOR_EVER("(loop $w (global.set $i (i32.add (global.get $i) (i32.const 1)))"
             "  (br_if $w (i32.and (global.get $i) (i32.const 0x7fff))))" COUNT SLEEP("1")) ")";

/* The same at an address of its memory: the wait ends by an alarm. */
static const char guest_nap[] =
    "(module (memory (export \"memory\") 1 1 shared)"
    FOR_EVER("(drop (memory.atomic.wait32 (i32.const 64) (i32.const 0) (i64.const 1)))" COUNT) ")";

/* Spends its time in host calls. */
static const char guest_calls[] =
    "(module " WASI("random_get", "(param i32 i32) (result i32)") "(memory (export \"memory\") 16)"
    FOR_EVER("(drop (call $random_get (i32.const 4096) (i32.const 500000)))" COUNT) ")";

/* Spends its time in bulk operations: 4 GiB, filled again and again. */
static const char guest_fill[] =
    "(module (memory (export \"memory\") 65536)"
    FOR_EVER("(memory.fill (i32.const 65536) (i32.const 1) (i32.const 0xfffe0000))" COUNT) ")";
/* The same with less memory. */
static const char guest_fill_small[] =
    "(module (memory (export \"memory\") 1024)"
    FOR_EVER("(memory.fill (i32.const 65536) (i32.const 1) (i32.const 0x3fe0000))" COUNT) ")";

/* Does cheap work for a while, then touches a gigabyte of fresh pages, one byte each, and gives
 * them back. */
static const char guest_touch[] =
    "(module"
    "(import \"cordon\" \"memory_discard\" (func $discard (param i32 i32) (result i32)))"
    "(memory (export \"memory\") 16385)"
    "(global $i (mut i32) (i32.const 0))"
    FOR_EVER("(global.set $i (i32.const 40000000))"
             "(loop $w (global.set $i (i32.sub (global.get $i) (i32.const 1)))"
             "  (br_if $w (global.get $i)))"
             "(global.set $i (i32.const 262144))"
             "(loop $t (global.set $i (i32.sub (global.get $i) (i32.const 1)))"
             "  (i32.store8 offset=65536 (i32.shl (global.get $i) (i32.const 12)) (i32.const 1))"
             "  (br_if $t (global.get $i)))"
             "(drop (call $discard (i32.const 65536) (i32.const 0x40000000)))" COUNT) ")";

/* Sleeps 5 ms and notes how late it was woken, up to 4096 times. */
static const char guest_interactive[] =
    "(module " POLL WASI("clock_time_get", "(param i32 i64 i32) (result i32)")
    "(memory (export \"memory\") 2)"
    FOR_EVER("(drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 16)))"
             SLEEP("5000000")
             "(drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 24)))"
             "(i64.store (i32.add (i32.const 1024) (i32.shl (i32.and (i32.wrap_i64 (i64.load"
             "    (i32.const 0))) (i32.const 4095)) (i32.const 3)))"
             "  (i64.sub (i64.sub (i64.load (i32.const 24)) (i64.load (i32.const 16)))"
             "    (i64.const 5000000)))" COUNT) ")";

/* Sleeps for ever. */
static const char guest_sleep[] =
    "(module " POLL "(memory (export \"memory\") 1)" FOR_EVER(SLEEP("1000000000000")) ")";

#endif
