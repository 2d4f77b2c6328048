// RUN: %smartmem-opt %s -o %t.once
// RUN: %smartmem-opt %t.once -o %t.twice
// RUN: diff %t.once %t.twice
// RUN: %filecheck %s < %t.twice

// #layout.repr (order, packed lanes, padded sizes, storage) as a tensor's encoding, and #layout.dense on a weight.

// CHECK-LABEL: func.func @reprs
// CHECK-SAME: tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
func.func @reprs(%x: tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) {
  // CHECK: -> tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 1, 2, 3>, [array<i64: 1, 4>], [], "texel_buffer">>
  %0 = "layout.relayout"(%x) : (tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 1, 2, 3>, [array<i64: 1, 4>], [], "texel_buffer">>
  // CHECK: -> tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 1, 2, 3>, [array<i64: 1, 4>], [array<i64: 3, 8>], "image2d">>
  %1 = "layout.relayout"(%x) : (tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x6x4x5xf32, #layout.repr<array<i64: 0, 1, 2, 3>, [array<i64: 1, 4>], [array<i64: 3, 8>], "image2d">>
  // CHECK: "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<8x4xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %2 = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<8x4xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  return
}
