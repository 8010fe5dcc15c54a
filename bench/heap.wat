;; What an allocation costs, and what collecting does: build/tests/heap_pauses bench/heap.wat trees 40.
(module
  (type $node (struct (field (ref null $node)) (field (ref null $node))))
  (type $cell (struct (field (ref null $cell)) (field i32)))
  (global $list (mut (ref null $cell)) (ref.null $cell))

  (func $make (param $depth i32) (result (ref null $node))
    (if (result (ref null $node)) (i32.eqz (local.get $depth))
      (then (struct.new $node (ref.null $node) (ref.null $node)))
      (else (struct.new $node
              (call $make (i32.sub (local.get $depth) (i32.const 1)))
              (call $make (i32.sub (local.get $depth) (i32.const 1)))))))
  (func $count (param $node (ref null $node)) (result i32)
    (if (result i32) (ref.is_null (local.get $node))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (i32.add
              (call $count (struct.get $node 0 (local.get $node)))
              (call $count (struct.get $node 1 (local.get $node))))))))

  ;; Binary trees of 2^17 - 1 nodes, one of which stays.
  (func (export "trees") (param $times i32) (result i32)
    (local $kept (ref null $node)) (local $total i32)
    (local.set $kept (call $make (i32.const 16)))
    (loop $again
      (local.set $total (i32.add (local.get $total) (call $count (call $make (i32.const 16)))))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (i32.add (local.get $total) (call $count (local.get $kept))))

  ;; Objects that die at once.
  (func (export "garbage") (param $times i32) (result i32)
    (loop $again
      (drop (struct.new $cell (ref.null $cell) (i32.const 1)))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (i32.const 0))

  ;; A list that only grows.
  (func (export "list") (param $times i32) (result i32)
    (loop $again
      (global.set $list (struct.new $cell (global.get $list) (i32.const 1)))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (i32.const 0))
)
