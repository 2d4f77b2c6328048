// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-reads{device=vulkan}' | %filecheck %s
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-reads{device=cpu}' | %filecheck %s --check-prefix=CPU
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-reads{device=vulkan},smartmem-lower-to-linalg{device=vulkan}' | %filecheck %s --check-prefix=LOWERED

// Windows of 2 x 4 in an image of 4 x 8, cut out of one tensor: both operands are read where they lie. The product has a
// loop for each part: window row and column, then the row and column within a window.

// CHECK-LABEL: func.func @windows
// CHECK: "layout.view"(%arg0) {{.*}}read_in_place
// CHECK-NEXT: "layout.view"(%arg0) {{.*}}read_in_place
// CHECK-NEXT: "layout.contract"
// CPU-LABEL: func.func @windows
// CPU-NOT: read_in_place
// LOWERED-LABEL: func.func @windows
// LOWERED-COUNT-2: tensor.extract_slice
// LOWERED-NOT: linalg.generic {{.*}}"parallel", "parallel", "parallel", "parallel", "parallel"]
// LOWERED: linalg.generic {{.*}}"parallel", "parallel", "parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<2x2x2x4x16xf32>, tensor<2x2x2x4x16xf32>)
func.func @windows(%x: tensor<4x8x32xf32>) -> tensor<4x8x8xf32> {
  %q = "layout.view"(%x) {index_map = affine_map<(w, t, c) -> ((w floordiv 2) * 2 + t floordiv 4, (w mod 2) * 4 + t mod 4, c)>} : (tensor<4x8x32xf32>) -> tensor<4x8x16xf32>
  %k = "layout.view"(%x) {index_map = affine_map<(w, t, c) -> ((w floordiv 2) * 2 + t floordiv 4, (w mod 2) * 4 + t mod 4, c + 16)>} : (tensor<4x8x32xf32>) -> tensor<4x8x16xf32>
  %0 = "layout.contract"(%q, %k) {indexing_maps = [affine_map<(b, i, j, k) -> (b, i, k)>, affine_map<(b, i, j, k) -> (b, j, k)>, affine_map<(b, i, j, k) -> (b, i, j)>]} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  return %0 : tensor<4x8x8xf32>
}

// -----

// Another reader has the view made; so do loops cut at places that do not nest (2 x 3 and 3 x 2), and a dim that would be
// read in steps (neither columns nor sum lie innermost).

// CHECK-LABEL: func.func @made
// CHECK-NOT: read_in_place
func.func @made(%x: tensor<6x8xf32>, %y: tensor<2x5x3x8xf32>, %z: tensor<3x5x2x8xf32>, %u: tensor<8x6x5xf32>) -> (tensor<6x6xf32>, tensor<8x6xf32>, tensor<6x5x5xf32>, tensor<6x5x5xf32>) {
  %t = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<6x8xf32>) -> tensor<8x6xf32>
  %r = "layout.elementwise"(%t) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<8x6xf32>) -> tensor<8x6xf32>
  %0 = "layout.contract"(%x, %t) {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>]} : (tensor<6x8xf32>, tensor<8x6xf32>) -> tensor<6x6xf32>
  %a = "layout.view"(%y) {index_map = affine_map<(b, i, k) -> (b floordiv 3, i, b mod 3, k)>} : (tensor<2x5x3x8xf32>) -> tensor<6x5x8xf32>
  %b = "layout.view"(%z) {index_map = affine_map<(b, i, k) -> (b floordiv 2, i, b mod 2, k)>} : (tensor<3x5x2x8xf32>) -> tensor<6x5x8xf32>
  %1 = "layout.contract"(%a, %b) {indexing_maps = [affine_map<(b, i, j, k) -> (b, i, k)>, affine_map<(b, i, j, k) -> (b, j, k)>, affine_map<(b, i, j, k) -> (b, i, j)>]} : (tensor<6x5x8xf32>, tensor<6x5x8xf32>) -> tensor<6x5x5xf32>
  %c = "layout.view"(%u) {index_map = affine_map<(b, i, k) -> (k, b, i)>} : (tensor<8x6x5xf32>) -> tensor<6x5x8xf32>
  %2 = "layout.contract"(%c, %c) {indexing_maps = [affine_map<(b, i, j, k) -> (b, i, k)>, affine_map<(b, i, j, k) -> (b, j, k)>, affine_map<(b, i, j, k) -> (b, i, j)>]} : (tensor<6x5x8xf32>, tensor<6x5x8xf32>) -> tensor<6x5x5xf32>
  return %0, %r, %1, %2 : tensor<6x6xf32>, tensor<8x6xf32>, tensor<6x5x5xf32>, tensor<6x5x5xf32>
}

// -----

// A linear layer reads its rows in any order, too, where tiles of a target do not forbid it.

// CHECK-LABEL: func.func @linear
// CHECK: "layout.view"{{.*}}read_in_place
func.func @linear(%x: tensor<4x8x16xf32>) -> tensor<32x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<16x8xf32>
  %v = "layout.view"(%x) {index_map = affine_map<(t, c) -> (t mod 4, t floordiv 4, c)>} : (tensor<4x8x16xf32>) -> tensor<32x16xf32>
  %0 = "layout.contract"(%v, %w) {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>]} : (tensor<32x16xf32>, tensor<16x8xf32>) -> tensor<32x8xf32>
  return %0 : tensor<32x8xf32>
}

// -----

// Attention reads heads where they lie, each of its operands by itself; a mask is made.

// CHECK-LABEL: func.func @attention
// CHECK-COUNT-2: read_in_place
// CHECK-NOT: read_in_place
// CHECK: return
func.func @attention(%x: tensor<5x2x8xf32>, %k: tensor<2x6x8xf32>, %m: tensor<6x5xf32>) -> (tensor<2x5x8xf32>, tensor<2x5x8xf32>) {
  %q = "layout.view"(%x) {index_map = affine_map<(h, t, d) -> (t, h, d)>} : (tensor<5x2x8xf32>) -> tensor<2x5x8xf32>
  %0 = "layout.attention"(%q, %k, %k) {causal = false, keys = 6 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x5x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>) -> tensor<2x5x8xf32>
  %r = "layout.view"(%x) {index_map = affine_map<(h, t, d) -> (t, h, d)>} : (tensor<5x2x8xf32>) -> tensor<2x5x8xf32>
  %t = "layout.view"(%m) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<6x5xf32>) -> tensor<5x6xf32>
  %1 = "layout.attention"(%r, %k, %k, %t) {causal = false, keys = 6 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 1>, scale = 0.5 : f64} : (tensor<2x5x8xf32>, tensor<2x6x8xf32>, tensor<2x6x8xf32>, tensor<5x6xf32>) -> tensor<2x5x8xf32>
  return %0, %1 : tensor<2x5x8xf32>, tensor<2x5x8xf32>
}

// -----

// A look-up reads through any views, on every device: the table is not repeated for its readers, nor are the positions.

// CHECK-LABEL: func.func @looked_up
// CHECK-COUNT-2: read_in_place
// CPU-LABEL: func.func @looked_up
// CPU-COUNT-2: read_in_place
// LOWERED-LABEL: func.func @looked_up
// LOWERED-SAME: (%[[X:.*]]: tensor<5x8xf32>, %[[AT:.*]]: tensor<3x2xi32>)
// LOWERED: linalg.generic {{.*}}"parallel", "parallel", "parallel"]} outs
// LOWERED: tensor.extract %[[AT]]
// LOWERED: tensor.extract %[[X]]
// LOWERED: return
func.func @looked_up(%x: tensor<5x8xf32>, %at: tensor<3x2xi32>) -> tensor<3x2x4xf32> {
  %table = "layout.view"(%x) {index_map = affine_map<(r, t, c) -> (t, c + 4)>} : (tensor<5x8xf32>) -> tensor<3x5x4xf32>
  %where = "layout.view"(%at) {index_map = affine_map<(r, k, c) -> (r, k)>} : (tensor<3x2xi32>) -> tensor<3x2x4xi32>
  %0 = "layout.gather_elements"(%table, %where) {dim = 1} : (tensor<3x5x4xf32>, tensor<3x2x4xi32>) -> tensor<3x2x4xf32>
  return %0 : tensor<3x2x4xf32>
}
