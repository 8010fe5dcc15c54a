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

/* Asks for 4096 timers at once, again and again. */
static const char guest_flood[] =
    "(module " WASI("poll_oneoff", "(param i32 i32 i32 i32) (result i32)")
    "(memory (export \"memory\") 8) (func (export \"_start\") (local $i i32)"
    "(loop $s (i32.store offset=4112 (i32.mul (local.get $i) (i32.const 48)) (i32.const 1))"
    "  (i64.store offset=4120 (i32.mul (local.get $i) (i32.const 48)) (i64.const 1000))"
    "  (br_if $s (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "    (i32.const 4096))))"
    "(loop $l (drop (call $poll_oneoff (i32.const 4096) (i32.const 262144) (i32.const 4096)"
    "  (i32.const 16)))" COUNT "(br $l))))";

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

/* Makes something large in one instruction, and then works. */
static const char guest_table[] =
    "(module (memory (export \"memory\") 1) (table $t 0 funcref) (elem declare func $f) (func $f)"
    "(func (export \"_start\") (drop (table.grow $t (ref.func $f) (i32.const 30000000)))"
    COUNT "(loop $l (br $l))))";
static const char guest_array[] =
    "(module (memory (export \"memory\") 1) (type $a (array (mut i64)))"
    "(global $g (mut (ref null $a)) (ref.null $a)) (func (export \"_start\")"
    "(global.set $g (array.new $a (i64.const 1) (i32.const 60000000))) " COUNT
    "(loop $l (br $l))))";
/* Lets one such die and makes another, so that the collector has to give them back. */
static const char guest_arrays[] =
    "(module (memory (export \"memory\") 1) (type $a (array (mut i64)))"
    FOR_EVER("(drop (array.new $a (i64.const 1) (i32.const 60000000))) " COUNT) ")";
/* Fills its stack, down to the end. */
static const char guest_deep[] =
    "(module (memory (export \"memory\") 1) (func $down (param i64 i64 i64 i64) (result i64)"
    "(i64.add (local.get 3) (call $down (local.get 1) (local.get 2) (local.get 3) (i64.const 7))))"
    "(func (export \"_start\")" COUNT "(drop (call $down (i64.const 1) (i64.const 2) (i64.const 3)"
    "(i64.const 4)))))";
/* Two memories that grow in turns, every page of them used, up to 2 GiB each: they have to move. */
static const char guest_grow[] =
    "(module (memory (export \"memory\") 1) (memory $b 1) (global $i (mut i32) (i32.const 0))"
    "(func (export \"_start\") (loop $g"
    "  (if (i32.eq (memory.grow 0 (i32.const 160)) (i32.const -1)) (then (loop $e (br $e))))"
    "  (if (i32.eq (memory.grow $b (i32.const 160)) (i32.const -1)) (then (loop $e (br $e))))"
    "  (loop $t (i32.store8 (global.get $i) (i32.const 1))"
    "    (i32.store8 $b (global.get $i) (i32.const 1))"
    "    (global.set $i (i32.add (global.get $i) (i32.const 4096)))"
    "    (br_if $t (i32.lt_u (global.get $i) (i32.shl (i32.sub (memory.size 0) (i32.const 1))"
    "      (i32.const 16)))))"
    "  (br_if $g (i32.lt_u (memory.size 0) (i32.const 32000)))) " COUNT "(loop $e (br $e))))";

/* Sleeps a millisecond, again and again. */
static const char guest_tick[] =
    "(module " POLL "(memory (export \"memory\") 1)" FOR_EVER(SLEEP("1000000") COUNT) ")";

/* Accepts connections of descriptor 3 and closes them. */
static const char guest_accept[] =
    "(module " WASI("sock_accept", "(param i32 i32 i32) (result i32)")
    WASI("fd_close", "(param i32) (result i32)") "(memory (export \"memory\") 1)"
    FOR_EVER("(if (i32.eqz (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 64)))"
             "  (then (drop (call $fd_close (i32.load (i32.const 64)))) " COUNT "))") ")";

/* Writes 256 KiB into a file of the directory at descriptor 3, and reads them again. */
static const char guest_files[] =
    "(module " WASI("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)")
    WASI("fd_pwrite", "(param i32 i32 i32 i64 i32) (result i32)")
    WASI("fd_pread", "(param i32 i32 i32 i64 i32) (result i32)")
    "(memory (export \"memory\") 16) (data (i32.const 32) \"f\")"
    "(func (export \"_start\") (local $fd i32)"
    "(if (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 1)"
    "      (i64.const 0x46) (i64.const 0) (i32.const 0) (i32.const 48)) (then unreachable))"
    "(local.set $fd (i32.load (i32.const 48)))"
    "(i32.store (i32.const 64) (i32.const 65536)) (i32.store (i32.const 68) (i32.const 262144))"
    "(loop $l (if (call $fd_pwrite (local.get $fd) (i32.const 64) (i32.const 1) (i64.const 0)"
    "             (i32.const 80)) (then unreachable))"
    "  (if (call $fd_pread (local.get $fd) (i32.const 64) (i32.const 1) (i64.const 0)"
    "      (i32.const 80)) (then unreachable))" COUNT "(br $l))))";

/* So much work, and then it returns: half of a second's or so of loads, stores and arithmetic. */
static const char guest_work[] =
    "(module (memory (export \"memory\") 16) (func $step (param i32) (result i32)"
    "  (i32.store (i32.shl (i32.and (local.get 0) (i32.const 0xffff)) (i32.const 2))"
    "    (i32.add (i32.load (i32.shl (i32.and (i32.mul (local.get 0) (i32.const 7919))"
    "      (i32.const 0xffff)) (i32.const 2))) (local.get 0)))"
    "  (i32.rotl (i32.xor (local.get 0) (i32.const 0x9e3779b9)) (i32.const 5)))"
    "(func (export \"_start\") (local $i i32) (local $x i32)"
    "(loop $l (local.set $x (i32.add (local.get $x) (call $step (local.get $i))))"
    "  (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "    (i32.const 10000000))))))";

/* The same of host calls. */
static const char guest_ask[] =
    "(module " WASI("clock_time_get", "(param i32 i64 i32) (result i32)")
    "(memory (export \"memory\") 1) (func (export \"_start\") (local $i i32)"
    "(loop $l (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 16)))"
    "  (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "    (i32.const 3000000))))))";

/* Sleeps for ever. */
static const char guest_sleep[] =
    "(module " POLL "(memory (export \"memory\") 1)" FOR_EVER(SLEEP("1000000000000")) ")";

#endif
