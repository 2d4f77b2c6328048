// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-select-layouts,smartmem-pack-textures{target=adreno}' | %filecheck %s

// A matrix is an image: the dim that is summed down the rows, four columns a texel. A bias is a texel buffer.

// CHECK-LABEL: func.func @linear
// CHECK: "layout.weight"() {{.*}}key = "w"{{.*}}texture = {height = 48 : i64, packed = 1 : i64, reason = "", storage = "image2d", width = 8 : i64, x = array<i64: 1>, y = array<i64: 0>}
// CHECK: "layout.weight"() {{.*}}key = "b"{{.*}}texture = {{{.*}}reason = "it has one dim only", storage = "texel_buffer"
func.func @linear(%x: tensor<4x48xf32>) -> tensor<4x32xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<48x32xf32>
  %b = "layout.weight"() {encoding = #layout.dense, key = "b"} : () -> tensor<32xf32>
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x48xf32>, tensor<48x32xf32>) -> tensor<4x32xf32>
  %1 = "layout.elementwise"(%0, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x32xf32>, tensor<32xf32>) -> tensor<4x32xf32>
  return %1 : tensor<4x32xf32>
}

// -----

// A kernel lies as it is stored, [window, C, O]: its window and input channels are the rows.

// CHECK-LABEL: func.func @conv
// CHECK: "layout.weight"() {{.*}}texture = {height = 27 : i64, packed = 0 : i64, reason = "", storage = "image2d", width = 2 : i64, x = array<i64: 0>, y = array<i64: 2, 3, 1>}
func.func @conv(%x: tensor<1x3x8x8xf32>) -> tensor<1x8x8x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "a"} : () -> tensor<8x3x3x3xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<8x3x3x3xf32>) -> tensor<1x8x8x8xf32>
  return %0 : tensor<1x8x8x8xf32>
}
