// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-select-layouts,smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// Channels last, the kernel [window, C, O]: IREE's named op. No fence, for the innermost axis is not padded.

// CHECK-LABEL: func.func @channels_last
// CHECK-NOT: util.optimization_barrier
// CHECK: %[[PAD:.*]] = tensor.pad %{{.*}} low[0, 1, 1, 0] high[0, 1, 1, 0]
// CHECK: linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : tensor<2xi64>, strides = dense<2> : tensor<2xi64>} ins(%[[PAD]], %{{.*}} : tensor<1x10x10x3xf32>, tensor<3x3x3x4xf32>)
func.func @channels_last(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x4x4xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x3x3x3xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x4x4xf32>
  return %0 : tensor<1x4x4x4xf32>
}

// -----

// A 1x1 window is a contraction over the channels, of the image as it comes.

// CHECK-LABEL: func.func @pointwise
// CHECK-NOT: linalg.conv
// CHECK: linalg.generic {{.*}}"reduction"{{.*}} ins(%{{.*}}, %{{.*}} : tensor<2x3x8{{.*}}xf32>, tensor<{{.*}}3x4xf32>)
// CHECK: arith.mulf
// CHECK-NOT: linalg.conv
// CHECK: return
func.func @pointwise(%x: tensor<2x3x8x8xf32>) -> tensor<2x4x8x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x3x1x1xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<2x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<2x4x8x8xf32>
  return %0 : tensor<2x4x8x8xf32>
}

// -----

// Windows side by side: patches are written out and contracted over one loop; the rest of the border is cut off.

// CHECK-LABEL: func.func @patches
// CHECK-NOT: linalg.conv
// CHECK: tensor.extract_slice %arg0[0, 0, 0, 0] [1, 3, 8, 8] [1, 1, 1, 1]
// CHECK: tensor.expand_shape {{.*}} into tensor<1x3x2x4x2x4xf32>
// CHECK: linalg.generic {{.*}}["parallel", "parallel", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<4x48xf32>, tensor<48x5xf32>)
// CHECK-NOT: linalg.conv
// CHECK: return
func.func @patches(%x: tensor<1x3x9x8xf32>) -> tensor<1x5x2x2xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<5x3x4x4xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 4, 4>} : (tensor<1x3x9x8xf32>, tensor<5x3x4x4xf32>) -> tensor<1x5x2x2xf32>
  return %0 : tensor<1x5x2x2xf32>
}

// -----

// Marked, it reads the windows where they lie: nothing is written out, and the sum has a loop per channel, row and column.

// CHECK-LABEL: func.func @patches_in_place
// CHECK-NOT: linalg.conv
// CHECK: linalg.generic {{.*}}"parallel", "reduction", "reduction", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<1x3x2x4x2x4xf32>, tensor<4x4x3x5xf32>)
// CHECK: return
func.func @patches_in_place(%x: tensor<1x3x8x8xf32>) -> tensor<1x5x2x2xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<5x3x4x4xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 4, 4>, read_in_place} : (tensor<1x3x8x8xf32>, tensor<5x3x4x4xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>) -> tensor<1x5x2x2xf32>
  return %0 : tensor<1x5x2x2xf32>
}

// -----

// Depthwise: a generic whose parallel loops run in the order of the result's memory. Never IREE's named op.

// CHECK-DAG: #[[IN:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1 + d4, d2 + d5, d3)>
// CHECK-DAG: #[[W:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d4, d5, d3)>
// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3)>
// CHECK-LABEL: func.func @depthwise
// CHECK-NOT: linalg.depthwise
// CHECK: linalg.generic {indexing_maps = [#[[IN]], #[[W]], #[[OUT]]], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<1x8x8x6xf32>, tensor<3x3x6xf32>)
// CHECK-NOT: linalg.depthwise
// CHECK: return
func.func @depthwise(%x: tensor<1x6x8x8xf32>) -> tensor<1x6x6x6xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<6x1x3x3xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 6, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x6x8x8xf32>, tensor<6x1x3x3xf32>) -> tensor<1x6x6x6xf32>
  return %0 : tensor<1x6x6x6xf32>
}

// -----

// Groups: the channels split into (group, channel of the group) on both sides.

// CHECK-LABEL: func.func @grouped
// CHECK-DAG: %[[X:.*]] = tensor.expand_shape %{{.*}} into tensor<1x8x8x2x2xf32>
// CHECK-DAG: %[[W:.*]] = tensor.expand_shape %{{.*}} into tensor<3x3x2x2x3xf32>
// CHECK: linalg.generic {{.*}} ins(%[[X]], %[[W]] : {{.*}}) outs(%{{.*}} : tensor<1x6x6x2x3xf32>)
// CHECK: tensor.collapse_shape {{.*}} into tensor<1x6x6x6xf32>
func.func @grouped(%x: tensor<1x4x8x8xf32>) -> tensor<1x6x6x6xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<6x2x3x3xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 2, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<1x6x6x6xf32>
  return %0 : tensor<1x6x6x6xf32>
}

// -----

// 16-bit floats are summed in f32.

// CHECK-LABEL: func.func @half
// CHECK: linalg.conv_2d_nhwc_hwcf {{.*}} ins(%{{.*}}, %{{.*}} : tensor<1x8x8x3xf16>, tensor<3x3x3x4xf16>) outs(%{{.*}} : tensor<1x6x6x4xf32>)
// CHECK: arith.truncf
func.func @half(%x: tensor<1x3x8x8xf16>) -> tensor<1x4x6x6xf16> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x3x3x3xf16>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf16>, tensor<4x3x3x3xf16>) -> tensor<1x4x6x6xf16>
  return %0 : tensor<1x4x6x6xf16>
}
