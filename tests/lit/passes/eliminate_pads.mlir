// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-eliminate-pads | %filecheck %s

// Zeros on one side, around windows that have a border already; pads of pads.

// CHECK-LABEL: func.func @one_side
// CHECK-NEXT: "layout.conv"(%arg0, %arg1) {{.*}}pad_high = array<i64: 2, 1>, pad_low = array<i64: 1, 3>
// CHECK-NEXT: return
func.func @one_side(%x: tensor<1x8x6x5xf32>, %w: tensor<8x8x3x3xf32>) -> tensor<1x8x7x7xf32> {
  %0 = "layout.pad"(%x) {high = array<i64: 0, 0, 1, 0>, low = array<i64: 0, 0, 0, 1>, value = 0.0 : f32} : (tensor<1x8x6x5xf32>) -> tensor<1x8x7x6xf32>
  %1 = "layout.pad"(%0) {high = array<i64: 0, 0, 0, 0>, low = array<i64: 0, 0, 0, 1>, value = 0.0 : f32} : (tensor<1x8x7x6xf32>) -> tensor<1x8x7x7xf32>
  %2 = "layout.conv"(%1, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x7x7xf32>, tensor<8x8x3x3xf32>) -> tensor<1x8x7x7xf32>
  return %2 : tensor<1x8x7x7xf32>
}

// -----

// Who else reads the bordered tensor keeps it.

// CHECK-LABEL: func.func @two_readers
// CHECK-NEXT: %[[PAD:.*]] = "layout.pad"(%arg0)
// CHECK-NEXT: %[[CONV:.*]] = "layout.conv"(%arg0
// CHECK-NEXT: return %[[PAD]], %[[CONV]]
func.func @two_readers(%x: tensor<1x8x6x5xf32>, %w: tensor<8x8x3x3xf32>) -> (tensor<1x8x7x5xf32>, tensor<1x8x5x3xf32>) {
  %0 = "layout.pad"(%x) {high = array<i64: 0, 0, 1, 0>, low = array<i64: 0, 0, 0, 0>, value = 0.0 : f32} : (tensor<1x8x6x5xf32>) -> tensor<1x8x7x5xf32>
  %1 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x7x5xf32>, tensor<8x8x3x3xf32>) -> tensor<1x8x5x3xf32>
  return %0, %1 : tensor<1x8x7x5xf32>, tensor<1x8x5x3xf32>
}

// -----

// Ones are no border of a convolution, nor is a pad of its channels.

// CHECK-LABEL: func.func @no_border
// CHECK-NEXT: %[[ONES:.*]] = "layout.pad"(%arg0)
// CHECK-NEXT: %[[CHANNELS:.*]] = "layout.pad"(%arg2)
// CHECK-NEXT: "layout.conv"(%[[ONES]]
// CHECK-NEXT: "layout.conv"(%[[CHANNELS]]
func.func @no_border(%x: tensor<1x8x6x5xf32>, %w: tensor<8x8x3x3xf32>, %y: tensor<1x6x6x5xf32>) -> (tensor<1x8x5x3xf32>, tensor<1x8x4x3xf32>) {
  %0 = "layout.pad"(%x) {high = array<i64: 0, 0, 1, 0>, low = array<i64: 0, 0, 0, 0>, value = 1.0 : f32} : (tensor<1x8x6x5xf32>) -> tensor<1x8x7x5xf32>
  %1 = "layout.pad"(%y) {high = array<i64: 0, 2, 0, 0>, low = array<i64: 0, 0, 0, 0>, value = 0.0 : f32} : (tensor<1x6x6x5xf32>) -> tensor<1x8x6x5xf32>
  %2 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x7x5xf32>, tensor<8x8x3x3xf32>) -> tensor<1x8x5x3xf32>
  %3 = "layout.conv"(%1, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32>, tensor<8x8x3x3xf32>) -> tensor<1x8x4x3xf32>
  return %2, %3 : tensor<1x8x5x3xf32>, tensor<1x8x4x3xf32>
}

// -----

// A view that shows nothing of a border reads behind it (relative attention's shifted rows); one that shows some does not.

// CHECK-DAG: #[[BEHIND:.*]] = affine_map<(d0, d1) -> (d0, d1 - d0 + 2)>
// CHECK-LABEL: func.func @unseen
// CHECK-NEXT: %[[VIEW:.*]] = "layout.view"(%arg0) {index_map = #[[BEHIND]]}
// CHECK-NEXT: return %[[VIEW]]
func.func @unseen(%x: tensor<3x5xf32>) -> tensor<3x3xf32> {
  %0 = "layout.pad"(%x) {high = array<i64: 0, 0>, low = array<i64: 0, 1>, value = 0.0 : f32} : (tensor<3x5xf32>) -> tensor<3x6xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j - i + 3)>} : (tensor<3x6xf32>) -> tensor<3x3xf32>
  return %1 : tensor<3x3xf32>
}

// CHECK-LABEL: func.func @seen
// CHECK-NEXT: %[[PAD:.*]] = "layout.pad"(%arg0)
// CHECK-NEXT: "layout.view"(%[[PAD]])
func.func @seen(%x: tensor<3x5xf32>) -> tensor<3x3xf32> {
  %0 = "layout.pad"(%x) {high = array<i64: 0, 0>, low = array<i64: 0, 1>, value = 0.0 : f32} : (tensor<3x5xf32>) -> tensor<3x6xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j - i + 2)>} : (tensor<3x6xf32>) -> tensor<3x3xf32>
  return %1 : tensor<3x3xf32>
}
