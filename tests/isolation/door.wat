;; Tries the act of that number: see acts.def.
(module
  (import "door" "act" (func $act (param i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "act") (param i32) (result i64) (call $act (local.get 0))))
