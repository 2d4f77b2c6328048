// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-joins{device=vulkan},smartmem-select-layouts' | %filecheck %s

// A mirrored border before a convolution: one kernel, which writes the layout the convolution wants. No relayout.

// CHECK-LABEL: func.func @mirrored
// CHECK: %[[LEFT:.*]] = "layout.concat"{{.*}}assembled
// CHECK: %[[ALL:.*]] = "layout.concat"(%[[LEFT]]{{.*}}assembled{{.*}} -> tensor<1x3x6x7xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NOT: layout.relayout
// CHECK: "layout.conv"(%[[ALL]]
func.func @mirrored(%x: tensor<1x3x6x5xf32>) -> tensor<1x4x6x7xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x3x1x3xf32>
  %0 = "layout.view"(%x) {index_map = affine_map<(n, c, h, w) -> (n, c, h, 1)>} : (tensor<1x3x6x5xf32>) -> tensor<1x3x6x1xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(n, c, h, w) -> (n, c, h, 3)>} : (tensor<1x3x6x5xf32>) -> tensor<1x3x6x1xf32>
  %2 = "layout.concat"(%0, %x) {dim = 3} : (tensor<1x3x6x1xf32>, tensor<1x3x6x5xf32>) -> tensor<1x3x6x6xf32>
  %3 = "layout.concat"(%2, %1) {dim = 3} : (tensor<1x3x6x6xf32>, tensor<1x3x6x1xf32>) -> tensor<1x3x6x7xf32>
  %4 = "layout.conv"(%3, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 1>, pad_low = array<i64: 0, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x6x7xf32>, tensor<4x3x1x3xf32>) -> tensor<1x4x6x7xf32>
  return %4 : tensor<1x4x6x7xf32>
}

// -----

// A class token before patches that a kernel of their own makes: one copy, of the token; the patches are written in place.

// CHECK-LABEL: func.func @class_token
// CHECK-NOT: assembled
// CHECK: return
func.func @class_token(%x: tensor<1x4x6xf32>, %token: tensor<1x1x6xf32>) -> tensor<1x5x6xf32> {
  %0 = "layout.softmax"(%x) {dim = 1, log = false} : (tensor<1x4x6xf32>) -> tensor<1x4x6xf32>
  %1 = "layout.concat"(%token, %0) {dim = 1} : (tensor<1x1x6xf32>, tensor<1x4x6xf32>) -> tensor<1x5x6xf32>
  return %1 : tensor<1x5x6xf32>
}

// -----

// Nine pieces would be nine loads for every element of the result.

// CHECK-LABEL: func.func @many
// CHECK-NOT: assembled
// CHECK: return
func.func @many(%x: tensor<1x2xf32>, %y: tensor<1x2xf32>) -> tensor<9x2xf32> {
  %0 = "layout.concat"(%x, %y) {dim = 0} : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<2x2xf32>
  %1 = "layout.concat"(%0, %x) {dim = 0} : (tensor<2x2xf32>, tensor<1x2xf32>) -> tensor<3x2xf32>
  %2 = "layout.concat"(%1, %y) {dim = 0} : (tensor<3x2xf32>, tensor<1x2xf32>) -> tensor<4x2xf32>
  %3 = "layout.concat"(%2, %x) {dim = 0} : (tensor<4x2xf32>, tensor<1x2xf32>) -> tensor<5x2xf32>
  %4 = "layout.concat"(%3, %y) {dim = 0} : (tensor<5x2xf32>, tensor<1x2xf32>) -> tensor<6x2xf32>
  %5 = "layout.concat"(%4, %x) {dim = 0} : (tensor<6x2xf32>, tensor<1x2xf32>) -> tensor<7x2xf32>
  %6 = "layout.concat"(%5, %y) {dim = 0} : (tensor<7x2xf32>, tensor<1x2xf32>) -> tensor<8x2xf32>
  %7 = "layout.concat"(%6, %x) {dim = 0} : (tensor<8x2xf32>, tensor<1x2xf32>) -> tensor<9x2xf32>
  return %7 : tensor<9x2xf32>
}
