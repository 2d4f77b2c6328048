// RUN: %smartmem-opt %s --pass-pipeline=smartmem-eliminate-views,smartmem-eliminate-concats,smartmem-eliminate-views,smartmem-select-layouts -o %t.layouts
// RUN: %filecheck %s --check-prefix=LAYOUT < %t.layouts
// RUN: %smartmem-opt %t.layouts --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},smartmem-verify-lowered' | %filecheck %s
// RUN: %smartmem-opt %t.layouts --pass-pipeline='smartmem-lower-to-linalg{device=cpu},smartmem-verify-lowered' | %filecheck %s --check-prefix=CPU

// A stem of patches, tokens through attention and back to an image, a depthwise convolution, a classifier.

// The stem's weight and the depthwise one are packed; the tokens are a view of the channels-last stem.
// LAYOUT-LABEL: func.func @main
// LAYOUT-COUNT-2: #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>{{$}}
// LAYOUT-NOT: layout.relayout
// LAYOUT: %[[STEM:.*]] = "layout.conv"(%arg0
// LAYOUT-NEXT: %[[TOKENS:.*]] = "layout.view"(%[[STEM]]) {{.*}} -> tensor<1x2x16x4xf32>
// The heads' merge and split cancel against the image's: one view writes the channels-last image. No relayout is left.
// LAYOUT: %[[ATTENTION:.*]] = "layout.attention"
// LAYOUT-NEXT: %[[IMAGE:.*]] = "layout.view"(%[[ATTENTION]]) {{.*}} -> tensor<1x8x4x4xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// LAYOUT-NEXT: %[[CONV:.*]] = "layout.conv"(%[[IMAGE]]
// LAYOUT-NOT: layout.relayout
// LAYOUT: return

// CHECK: "util.global"() {initial_value = #flow.parameter.named<"model"::"depthwise@[2, 3, 1, 0]"> : tensor<3x3x1x8xf32>
// CHECK: "util.global"() {initial_value = #flow.parameter.named<"model"::"stem@[2, 3, 1, 0]"> : tensor<2x2x3x8xf32>
// CHECK-LABEL: func.func @main
// CHECK-SAME: (%arg0: tensor<1x3x8x8xf32>) -> tensor<1x5xf32>
// CHECK-NOT: layout.
// CHECK: math.exp
// CHECK-NOT: util.optimization_barrier
// CHECK: tensor.pad
// CHECK-NOT: layout.
// CHECK: return %{{.*}} : tensor<1x5xf32>

// CPU-LABEL: func.func @main
// CPU-NOT: util.optimization_barrier
// CPU: return %{{.*}} : tensor<1x5xf32>

func.func @main(%x: tensor<1x3x8x8xf32>) -> tensor<1x5xf32> {
  %stem = "layout.weight"() {encoding = #layout.dense, key = "stem"} : () -> tensor<8x3x2x2xf32>
  %depthwise = "layout.weight"() {encoding = #layout.dense, key = "depthwise"} : () -> tensor<8x1x3x3xf32>
  %head = "layout.weight"() {encoding = #layout.dense, key = "head"} : () -> tensor<5x8xf32>
  %0 = "layout.conv"(%x, %stem) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x3x8x8xf32>, tensor<8x3x2x2xf32>) -> tensor<1x8x4x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, c, t) -> (n, c, t floordiv 4, t mod 4)>} : (tensor<1x8x4x4xf32>) -> tensor<1x8x16xf32>
  %2 = "layout.view"(%1) {index_map = affine_map<(n, t, c) -> (n, c, t)>} : (tensor<1x8x16xf32>) -> tensor<1x16x8xf32>
  %3 = "layout.view"(%2) {index_map = affine_map<(n, t, h, c) -> (n, t, h * 4 + c)>} : (tensor<1x16x8xf32>) -> tensor<1x16x2x4xf32>
  %4 = "layout.view"(%3) {index_map = affine_map<(n, h, t, c) -> (n, t, h, c)>} : (tensor<1x16x2x4xf32>) -> tensor<1x2x16x4xf32>
  %5 = "layout.attention"(%4, %4, %4) {causal = false, keys = 16 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<1x2x16x4xf32>, tensor<1x2x16x4xf32>, tensor<1x2x16x4xf32>) -> tensor<1x2x16x4xf32>
  %6 = "layout.view"(%5) {index_map = affine_map<(n, t, h, c) -> (n, h, t, c)>} : (tensor<1x2x16x4xf32>) -> tensor<1x16x2x4xf32>
  %7 = "layout.view"(%6) {index_map = affine_map<(n, t, c) -> (n, t, c floordiv 4, c mod 4)>} : (tensor<1x16x2x4xf32>) -> tensor<1x16x8xf32>
  %8 = "layout.view"(%7) {index_map = affine_map<(n, c, t) -> (n, t, c)>} : (tensor<1x16x8xf32>) -> tensor<1x8x16xf32>
  %9 = "layout.view"(%8) {index_map = affine_map<(n, c, h, w) -> (n, c, h * 4 + w)>} : (tensor<1x8x16xf32>) -> tensor<1x8x4x4xf32>
  %10 = "layout.conv"(%9, %depthwise) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x4x4xf32>, tensor<8x1x3x3xf32>) -> tensor<1x8x4x4xf32>
  %11 = "layout.reduce"(%10) {dims = array<i64: 2, 3>, kind = "mean"} : (tensor<1x8x4x4xf32>) -> tensor<1x8xf32>
  %12 = "layout.contract"(%11, %head) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<1x8xf32>, tensor<5x8xf32>) -> tensor<1x5xf32>
  return %12 : tensor<1x5xf32>
}
