;; 64-bit atomics on the log's shared memory, without BigInt and without garbage: values cross to JavaScript as
;; f64 (all are below 2^53). Addresses are byte offsets. scripts/build-wasm.mjs turns this into atomics64-bytes.ts.
(module
  (import "groupwal" "memory" (memory 1 65536 shared))

  (func (export "load") (param $at i32) (result f64)
    (f64.convert_i64_u (i64.atomic.load (local.get $at))))

  (func (export "store") (param $at i32) (param $value f64)
    (i64.atomic.store (local.get $at) (i64.trunc_f64_u (local.get $value))))

  (func (export "add") (param $at i32) (param $delta f64)
    (drop (i64.atomic.rmw.add (local.get $at) (i64.trunc_f64_u (local.get $delta)))))

  (func (export "compareExchange") (param $at i32) (param $expected f64) (param $value f64) (result f64)
    (f64.convert_i64_u
      (i64.atomic.rmw.cmpxchg (local.get $at)
        (i64.trunc_f64_u (local.get $expected)) (i64.trunc_f64_u (local.get $value)))))

  ;; reserve(word, head, code base, index mask, capacity, granules, records, line, owner code) -> 1, or 0 when full
  ;; Moves the reservation word (sequence : 32 high, position : 32 low) by compare-exchange, the halves added apart.
  ;; The place is noted in the producer's own line before the exchange, and its code is stored right after it:
  ;; between those two there is no call and no loop back-edge, so no thread can be made to stop there.
  (func (export "reserve")
    (param $word i32) (param $head i32) (param $codes i32) (param $mask i32) (param $capacity i32)
    (param $granules i32) (param $records i32) (param $line i32) (param $code i32) (result i32)
    (local $old i64) (local $position i32) (local $sequence i32) (local $freed i32)
    (i32.store offset=8 (local.get $line) (local.get $granules))
    (i32.store offset=12 (local.get $line) (local.get $records))
    (loop $again
      (local.set $old (i64.atomic.load (local.get $word)))
      (local.set $position (i32.wrap_i64 (local.get $old)))
      (local.set $sequence (i32.wrap_i64 (i64.shr_u (local.get $old) (i64.const 32))))
      (local.set $freed (i32.atomic.load (local.get $head)))
      (if (i32.gt_u
            (i32.sub (i32.add (local.get $position) (local.get $granules)) (local.get $freed))
            (local.get $capacity))
        (then
          ;; full, unless the word moved while the head was read: then the two do not belong together
          (br_if $again (i64.ne (i64.atomic.load (local.get $word)) (local.get $old)))
          (return (i32.const 0))))
      (i32.store (local.get $line) (local.get $position))
      (i32.store offset=4 (local.get $line) (local.get $sequence))
      (br_if $again
        (i64.ne
          (i64.atomic.rmw.cmpxchg (local.get $word) (local.get $old)
            (i64.or
              (i64.shl (i64.extend_i32_u (i32.add (local.get $sequence) (local.get $records))) (i64.const 32))
              (i64.extend_i32_u (i32.add (local.get $position) (local.get $granules)))))
          (local.get $old))))
    (i32.atomic.store
      (i32.add (local.get $codes)
        (i32.shl (i32.and (local.get $position) (local.get $mask)) (i32.const 2)))
      (local.get $code))
    (i32.const 1)))
