;; Two operators of vectors that the translator puts into one instruction: both are rounded, operands
;; keep their places, and what is compared the other way round is not taken for it.
(module
  (func (export "add-add") (param v128 v128 v128) (result v128)
    (f64x2.add (f64x2.add (local.get 0) (local.get 1)) (local.get 2)))
  (func (export "add-right") (param v128 v128 v128) (result v128)
    (f64x2.add (local.get 2) (f64x2.add (local.get 0) (local.get 1))))
  (func (export "sub-add") (param v128 v128 v128) (result v128)
    (f64x2.add (f64x2.sub (local.get 0) (local.get 1)) (local.get 2)))
  (func (export "sub-right") (param v128 v128 v128) (result v128)
    (f64x2.add (local.get 2) (f64x2.sub (local.get 0) (local.get 1))))
  (func (export "add-lt") (param v128 v128 v128) (result v128)
    (f64x2.lt (f64x2.add (local.get 0) (local.get 1)) (local.get 2)))
  (func (export "gt-add") (param v128 v128 v128) (result v128)
    (f64x2.gt (local.get 2) (f64x2.add (local.get 0) (local.get 1))))
  (func (export "lt-add") (param v128 v128 v128) (result v128)
    (f64x2.lt (local.get 2) (f64x2.add (local.get 0) (local.get 1))))
  (func (export "sum-twice") (param v128 v128 v128) (result v128)
    (local.set 0 (f64x2.add (f64x2.add (local.get 0) (local.get 1)) (local.get 0)))
    (f64x2.add (local.tee 1 (f64x2.sub (local.get 0) (local.get 2))) (local.get 1)))

  (func (export "add-add-f32") (param v128 v128 v128) (result v128)
    (f32x4.add (f32x4.add (local.get 0) (local.get 1)) (local.get 2)))
  (func (export "sub-add-f32") (param v128 v128 v128) (result v128)
    (f32x4.add (local.get 2) (f32x4.sub (local.get 0) (local.get 1))))
  (func (export "add-lt-f32") (param v128 v128 v128) (result v128)
    (f32x4.lt (f32x4.add (local.get 0) (local.get 1)) (local.get 2)))
  (func (export "lt-add-f32") (param v128 v128 v128) (result v128)
    (f32x4.lt (local.get 2) (f32x4.add (local.get 0) (local.get 1)))))

;; 1e16 + 1 is 1e16: adding 1 once more changes nothing, where adding 2 would.
(assert_return
  (invoke "add-add" (v128.const f64x2 1e16 1) (v128.const f64x2 1 2) (v128.const f64x2 1 4))
  (v128.const f64x2 1e16 7))
(assert_return
  (invoke "add-right" (v128.const f64x2 1e16 1) (v128.const f64x2 1 2) (v128.const f64x2 1 4))
  (v128.const f64x2 1e16 7))
(assert_return
  (invoke "sub-add" (v128.const f64x2 1e16 1) (v128.const f64x2 -1 2) (v128.const f64x2 1 4))
  (v128.const f64x2 1e16 3))
(assert_return
  (invoke "sub-right" (v128.const f64x2 1e16 1) (v128.const f64x2 -1 2) (v128.const f64x2 1 4))
  (v128.const f64x2 1e16 3))
(assert_return
  (invoke "add-lt" (v128.const f64x2 1 1) (v128.const f64x2 1 nan) (v128.const f64x2 3 3))
  (v128.const i64x2 -1 0))
(assert_return
  (invoke "add-lt" (v128.const f64x2 1 1) (v128.const f64x2 1 2) (v128.const f64x2 2 1))
  (v128.const i64x2 0 0))
(assert_return
  (invoke "gt-add" (v128.const f64x2 1 1) (v128.const f64x2 1 2) (v128.const f64x2 3 1))
  (v128.const i64x2 -1 0))
(assert_return
  (invoke "lt-add" (v128.const f64x2 1 1) (v128.const f64x2 1 2) (v128.const f64x2 3 1))
  (v128.const i64x2 0 -1))
(assert_return
  (invoke "sum-twice" (v128.const f64x2 1 2) (v128.const f64x2 10 20) (v128.const f64x2 3 4))
  (v128.const f64x2 18 40))

(assert_return
  (invoke "add-add-f32" (v128.const f32x4 16777216 1 -1 0.5) (v128.const f32x4 1 2 3 0.25)
                        (v128.const f32x4 1 3 5 8))
  (v128.const f32x4 16777216 6 7 8.75))
(assert_return
  (invoke "sub-add-f32" (v128.const f32x4 16777216 1 -1 0.5) (v128.const f32x4 -1 2 3 0.25)
                        (v128.const f32x4 1 3 5 8))
  (v128.const f32x4 16777216 2 1 8.25))
(assert_return
  (invoke "add-lt-f32" (v128.const f32x4 1 1 1 1) (v128.const f32x4 1 2 nan -3)
                       (v128.const f32x4 2 4 1 0))
  (v128.const i32x4 0 -1 0 -1))
(assert_return
  (invoke "lt-add-f32" (v128.const f32x4 1 1 1 1) (v128.const f32x4 1 2 nan -3)
                       (v128.const f32x4 1 4 1 0))
  (v128.const i32x4 -1 0 0 0))
