;; Eight threads on one volume: each writes a file of its own and every eighth part of one that all
;; have, and meanwhile all make, rename and remove files of the same names. The first thread then
;; reads what was written. The exit code is 0, or what went wrong.
(module
  (import "env" "memory" (memory 32 32 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite"
    (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread"
    (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (data (i32.const 32) "allsame-0same-1")

  (func $good (param $errno i32) (param $code i32)
    (if (local.get $errno) (then (call $exit (local.get $code)))))

  ;; Opens or makes it, for reading and writing; its descriptor, or 0 with an error that is allowed.
  (func $make (param $name i32) (param $size i32) (param $at i32) (param $code i32) (result i32)
    (local $errno i32)
    (local.set $errno (call $open (i32.const 3) (i32.const 0) (local.get $name) (local.get $size)
      (i32.const 1) (i64.const 70) (i64.const 0) (i32.const 0) (local.get $at)))
    (if (local.get $code) (then (call $good (local.get $errno) (local.get $code))))
    ;; IO is never allowed.
    (if (i32.eq (local.get $errno) (i32.const 29)) (then (call $exit (i32.const 20))))
    (select (i32.const 0) (i32.load (local.get $at)) (local.get $errno)))

  ;; Writes or reads 1000 bytes; `base` has the list, its answer and behind 64 bytes the bytes.
  (func $list (param $base i32)
    (i32.store (local.get $base) (i32.add (local.get $base) (i32.const 64)))
    (i32.store offset=4 (local.get $base) (i32.const 1000)))
  (func $put (param $fd i32) (param $base i32) (param $place i32)
    (call $good (call $pwrite (local.get $fd) (local.get $base) (i32.const 1)
      (i64.mul (i64.extend_i32_u (local.get $place)) (i64.const 1000))
      (i32.add (local.get $base) (i32.const 8))) (i32.const 21))
    (call $good (i32.ne (i32.load offset=8 (local.get $base)) (i32.const 1000)) (i32.const 22)))
  (func $get (param $fd i32) (param $base i32) (param $place i32) (param $byte i32)
    (local $i i32)
    (call $good (call $pread (local.get $fd) (local.get $base) (i32.const 1)
      (i64.mul (i64.extend_i32_u (local.get $place)) (i64.const 1000))
      (i32.add (local.get $base) (i32.const 8))) (i32.const 23))
    (call $good (i32.ne (i32.load offset=8 (local.get $base)) (i32.const 1000)) (i32.const 24))
    (loop $next
      (call $good (i32.ne (local.get $byte)
        (i32.load8_u offset=64 (i32.add (local.get $base) (local.get $i)))) (i32.const 25))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
        (i32.const 1000)))))

  ;; "same-0" becomes "same-1", is removed, and made again.
  (func $quarrel (param $base i32)
    (local $fd i32)
    (local.set $fd (call $make (i32.const 35) (i32.const 6)
      (i32.add (local.get $base) (i32.const 12)) (i32.const 0)))
    (if (local.get $fd) (then
      (call $put (local.get $fd) (local.get $base) (i32.const 0))
      (drop (call $rename (i32.const 3) (i32.const 35) (i32.const 6) (i32.const 3) (i32.const 41)
        (i32.const 6)))
      (drop (call $unlink (i32.const 3) (i32.const 41) (i32.const 6)))
      (call $good (call $close (local.get $fd)) (i32.const 26)))))

  (func (export "wasi_thread_start") (param $tid i32) (param $me i32)
    (local $base i32) (local $fd i32) (local $i i32) (local $shared i32)
    (local.set $base (i32.mul (i32.add (local.get $me) (i32.const 1)) (i32.const 65536)))
    (call $list (local.get $base))
    (memory.fill (i32.add (local.get $base) (i32.const 64)) (i32.add (local.get $me) (i32.const 1))
      (i32.const 1000))
    (i32.store8 offset=16 (local.get $base) (i32.add (local.get $me) (i32.const 65)))
    (local.set $fd (call $make (i32.add (local.get $base) (i32.const 16)) (i32.const 1)
      (i32.add (local.get $base) (i32.const 12)) (i32.const 27)))
    (local.set $shared (i32.load (i32.const 8)))
    (loop $next
      (call $put (local.get $fd) (local.get $base) (local.get $i))
      (call $put (local.get $shared) (local.get $base)
        (i32.add (i32.mul (local.get $i) (i32.const 8)) (local.get $me)))
      (call $quarrel (local.get $base))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
        (i32.const 100))))
    (call $good (call $close (local.get $fd)) (i32.const 28))
    (drop (i32.atomic.rmw.add (i32.const 4) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 4) (i32.const -1))))

  (func $read_all (local $i i32) (local $me i32) (local $fd i32)
    (call $list (i32.const 65536))
    (loop $thread
      (i32.store8 (i32.const 16) (i32.add (local.get $me) (i32.const 65)))
      (local.set $fd (call $make (i32.const 16) (i32.const 1) (i32.const 12) (i32.const 29)))
      (local.set $i (i32.const 0))
      (loop $next
        (call $get (local.get $fd) (i32.const 65536) (local.get $i)
          (i32.add (local.get $me) (i32.const 1)))
        (call $get (i32.load (i32.const 8)) (i32.const 65536)
          (i32.add (i32.mul (local.get $i) (i32.const 8)) (local.get $me))
          (i32.add (local.get $me) (i32.const 1)))
        (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
          (i32.const 100))))
      (br_if $thread (i32.lt_u (local.tee $me (i32.add (local.get $me) (i32.const 1)))
        (i32.const 8)))))

  (func (export "_start") (local $n i32) (local $seen i32)
    (drop (call $make (i32.const 32) (i32.const 3) (i32.const 8) (i32.const 19)))
    (loop $more
      (call $good (i32.le_s (call $spawn (local.get $n)) (i32.const 0)) (i32.const 30))
      (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
        (i32.const 8))))
    (loop $wait
      (local.set $seen (i32.atomic.load (i32.const 4)))
      (if (i32.lt_u (local.get $seen) (i32.const 8)) (then
        (drop (memory.atomic.wait32 (i32.const 4) (local.get $seen) (i64.const -1)))
        (br $wait))))
    (call $read_all)
    (drop (call $unlink (i32.const 3) (i32.const 35) (i32.const 6)))
    (drop (call $unlink (i32.const 3) (i32.const 41) (i32.const 6)))))
