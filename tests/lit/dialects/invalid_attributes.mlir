// RUN: not %smartmem-opt %s --split-input-file 2>&1 | %filecheck %s

// What a tensor's encoding must not be.

// CHECK: error: {{.*}}layout.relayout: layout order [1, 1] is no permutation of its dims
func.func @order_that_is_no_permutation(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 1, 1>, [], [], "buffer">>
  return
}

// -----

// CHECK: error: {{.*}}does not fit shape [4, 6]
func.func @layout_of_another_rank(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 2, 1>, [], [], "buffer">>
  return
}

// -----

// CHECK: error: {{.*}}layout.relayout: packed dims [2] of a layout of rank 2 repeat or do not exist
func.func @packed_dim_that_does_not_exist(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 1>, [array<i64: 2, 4>], [], "buffer">>
  return
}

// -----

// CHECK: error: {{.*}}layout.relayout: packed sizes [(1, 0)] of a layout are not all positive
func.func @no_lanes(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 1>, [array<i64: 1, 0>], [], "buffer">>
  return
}

// -----

// CHECK: error: {{.*}}layout.relayout: dim 1 of [4, 6] is padded to 5, less than its size
func.func @padding_that_crops(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 1>, [], [array<i64: 1, 5>], "buffer">>
  return
}

// -----

// CHECK: error: {{.*}}layout.relayout: expected pairs of integers
func.func @triples_for_pairs(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 1>, [array<i64: 1, 4, 4>], [], "buffer">>
  return
}

// -----

// CHECK: error: {{.*}}layout.relayout: unknown storage 'image3d', expected one of buffer, texel_buffer, image2d
func.func @unknown_storage(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 1>, [], [], "image3d">>
  return
}

// -----

// CHECK: error: {{.*}}is not #layout.repr
func.func @another_attribute_as_encoding(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.dense>
  return
}

// -----

// CHECK: error: {{.*}}expected 4 type arguments, but had 3
func.func @missing_parameter(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 0, 1>, [], []>>
  return
}
