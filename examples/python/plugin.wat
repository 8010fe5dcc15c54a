;; Somebody's plug-in: one function that is useful, and one that would never end.
(module
  (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1)))
  (func (export "spin")
    (loop $again (br $again))))
