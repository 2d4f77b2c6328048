// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-eliminate-views | %filecheck %s

// A chain becomes one view of the first tensor.

// CHECK: #[[MAP:.*]] = affine_map<(d0, d1, d2) -> (d2, d0 * 3 + d1)>
// CHECK-LABEL: func.func @compose
// CHECK-NEXT: %0 = "layout.view"(%arg0) {index_map = #[[MAP]]} : (tensor<4x6xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: return %0
func.func @compose(%x: tensor<4x6xf32>) -> tensor<2x3x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j, k) -> (i * 3 + j, k)>} : (tensor<6x4xf32>) -> tensor<2x3x4xf32>
  return %1 : tensor<2x3x4xf32>
}

// -----

// A view and its inverse disappear, also with a window partition between them.

// CHECK-LABEL: func.func @cancel
// CHECK-NEXT: return %arg0
func.func @cancel(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(a, b, i, j) -> (a * 4 + i, b * 4 + j)>} : (tensor<8x8xf32>) -> tensor<2x2x4x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(w, i, j) -> (w floordiv 2, w mod 2, i, j)>} : (tensor<2x2x4x4xf32>) -> tensor<4x4x4xf32>
  %2 = "layout.view"(%1) {index_map = affine_map<(a, b, i, j) -> (a * 2 + b, i, j)>} : (tensor<4x4x4xf32>) -> tensor<2x2x4x4xf32>
  %3 = "layout.view"(%2) {index_map = affine_map<(h, w) -> (h floordiv 4, w floordiv 4, h mod 4, w mod 4)>} : (tensor<2x2x4x4xf32>) -> tensor<8x8xf32>
  return %3 : tensor<8x8xf32>
}

// -----

// A roll and the roll back cancel, although neither is a few reshapes and a transpose.

// CHECK-LABEL: func.func @cancel_rolls
// CHECK-NEXT: return %arg0
func.func @cancel_rolls(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i) -> ((i + 3) mod 8)>} : (tensor<8xf32>) -> tensor<8xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i) -> ((i + 5) mod 8)>} : (tensor<8xf32>) -> tensor<8xf32>
  return %1 : tensor<8xf32>
}

// -----

// A cut through a flattened transpose would be a gather: two cheap views stay.

// CHECK-LABEL: func.func @keep_two
// CHECK-NEXT: %[[FLAT:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<24xf32>
// CHECK-NEXT: %[[CUT:.*]] = "layout.view"(%[[FLAT]]) {{.*}} -> tensor<10xf32>
// CHECK-NEXT: return %[[CUT]]
func.func @keep_two(%x: tensor<4x6xf32>) -> tensor<10xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i) -> (i mod 4, i floordiv 4)>} : (tensor<4x6xf32>) -> tensor<24xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i) -> (i + 5)>} : (tensor<24xf32>) -> tensor<10xf32>
  return %1 : tensor<10xf32>
}

// -----

// A roll is a gather already: it takes in its neighbours.

// CHECK: #[[MAP:.*]] = affine_map<(d0, d1) -> ((d0 * 4 + d1 + 3) mod 8)>
// CHECK-LABEL: func.func @absorb
// CHECK-NEXT: %[[CUT:.*]] = "layout.view"(%arg0) {index_map = #[[MAP]]} : (tensor<8xf32>) -> tensor<2x4xf32>
// CHECK-NEXT: return %[[CUT]]
func.func @absorb(%x: tensor<8xf32>) -> tensor<2x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i) -> ((i + 3) mod 8)>} : (tensor<8xf32>) -> tensor<8xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i * 4 + j)>} : (tensor<8xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}

// -----

// A slice of a slice is a slice; a broadcast of a slice is still one view.

// CHECK: #[[SLICE:.*]] = affine_map<(d0) -> (d0 * 6 + 7)>
// CHECK: #[[SPREAD:.*]] = affine_map<(d0, d1) -> (d1 * 2 + 1)>
// CHECK-LABEL: func.func @slices
// CHECK-NEXT: %[[SLICED:.*]] = "layout.view"(%arg0) {index_map = #[[SLICE]]} : (tensor<32xf32>) -> tensor<4xf32>
// CHECK-NEXT: %[[SPREADED:.*]] = "layout.view"(%arg0) {index_map = #[[SPREAD]]} : (tensor<32xf32>) -> tensor<3x15xf32>
// CHECK-NEXT: return %[[SLICED]], %[[SPREADED]]
func.func @slices(%x: tensor<32xf32>) -> (tensor<4xf32>, tensor<3x15xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i) -> (i * 2 + 1)>} : (tensor<32xf32>) -> tensor<15xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i) -> (i * 3 + 3)>} : (tensor<15xf32>) -> tensor<4xf32>
  %2 = "layout.view"(%0) {index_map = affine_map<(n, i) -> (i)>} : (tensor<15xf32>) -> tensor<3x15xf32>
  return %1, %2 : tensor<4xf32>, tensor<3x15xf32>
}

// -----

// Several consumers: each composes for itself, and what a compute op reads stays.

// CHECK-LABEL: func.func @consumers
// CHECK-NEXT: %[[KEPT:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<6x4xf32>
// CHECK-NEXT: %[[RELU:.*]] = "layout.elementwise"(%[[KEPT]]) {fn = "relu"
// CHECK-NEXT: %[[FLAT:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<24xf32>
// CHECK-NEXT: return %[[RELU]], %[[FLAT]], %arg0
func.func @consumers(%x: tensor<4x6xf32>) -> (tensor<6x4xf32>, tensor<24xf32>, tensor<4x6xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x4xf32>) -> tensor<6x4xf32>
  %2 = "layout.view"(%0) {index_map = affine_map<(i) -> (i floordiv 4, i mod 4)>} : (tensor<6x4xf32>) -> tensor<24xf32>
  %3 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<6x4xf32>) -> tensor<4x6xf32>
  return %1, %2, %3 : tensor<6x4xf32>, tensor<24xf32>, tensor<4x6xf32>
}

// -----

// Unused layout ops go; a view between two layouts stays, although its map is the identity.

// CHECK-LABEL: func.func @unused
// CHECK-NEXT: %[[MOVED:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
// CHECK-NEXT: return %[[MOVED]]
func.func @unused(%x: tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">> {
  %0 = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x6xf32>
  %1 = "layout.elementwise"(%x, %0) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  return %2 : tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
}

// -----

// Rows read one element further on each are one view without divisions, which takes the place of two copies; the same
// cut elsewhere needs divisions, and stays two views.

// CHECK-DAG: #[[SHIFTED:.*]] = affine_map<(d0, d1) -> (d0, -d0 + d1 + 3)>
// CHECK-LABEL: func.func @shifted
// CHECK-NEXT: %[[VIEW:.*]] = "layout.view"(%arg0) {index_map = #[[SHIFTED]]}
// CHECK-NEXT: return %[[VIEW]]
func.func @shifted(%x: tensor<3x6xf32>) -> tensor<3x3xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> ((i * 5 + j + 3) floordiv 6, (i * 5 + j + 3) mod 6)>} : (tensor<3x6xf32>) -> tensor<3x5xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<3x5xf32>) -> tensor<3x3xf32>
  return %1 : tensor<3x3xf32>
}

// CHECK-LABEL: func.func @around
// CHECK-NEXT: %[[ROWS:.*]] = "layout.view"(%arg0)
// CHECK-NEXT: %[[CUT:.*]] = "layout.view"(%[[ROWS]])
// CHECK-NEXT: return %[[CUT]]
func.func @around(%x: tensor<3x6xf32>) -> tensor<3x3xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> ((i * 5 + j + 3) floordiv 6, (i * 5 + j + 3) mod 6)>} : (tensor<3x6xf32>) -> tensor<3x5xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j + 2)>} : (tensor<3x5xf32>) -> tensor<3x3xf32>
  return %1 : tensor<3x3xf32>
}
