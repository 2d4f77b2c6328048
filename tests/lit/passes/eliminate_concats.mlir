// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-eliminate-concats | %filecheck %s

// Even and odd rows side by side are one view.

// CHECK: #[[MAP:.*]] = affine_map<(d0, d1) -> (d0 * 2 + d1 floordiv 6, d1 mod 6)>
// CHECK-LABEL: func.func @rows
// CHECK-NEXT: %[[ALL:.*]] = "layout.view"(%arg0) {index_map = #[[MAP]]} : (tensor<4x6xf32>) -> tensor<2x12xf32>
// CHECK-NEXT: return %[[ALL]]
func.func @rows(%x: tensor<4x6xf32>) -> tensor<2x12xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i * 2, j)>} : (tensor<4x6xf32>) -> tensor<2x6xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i * 2 + 1, j)>} : (tensor<4x6xf32>) -> tensor<2x6xf32>
  %2 = "layout.concat"(%0, %1) {dim = 1} : (tensor<2x6xf32>, tensor<2x6xf32>) -> tensor<2x12xf32>
  return %2 : tensor<2x12xf32>
}

// -----

// Patch merging: four quarters of an image, joined along the channels, in the order of Swin's layers.

// CHECK-LABEL: func.func @patch_merging
// CHECK-NEXT: %[[ALL:.*]] = "layout.view"(%arg0) {{.*}} : (tensor<4x4x3xf32>) -> tensor<2x2x12xf32>
// CHECK-NEXT: return %[[ALL]]
func.func @patch_merging(%x: tensor<4x4x3xf32>) -> tensor<2x2x12xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(h, w, c) -> (h * 2, w * 2, c)>} : (tensor<4x4x3xf32>) -> tensor<2x2x3xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(h, w, c) -> (h * 2 + 1, w * 2, c)>} : (tensor<4x4x3xf32>) -> tensor<2x2x3xf32>
  %2 = "layout.view"(%x) {index_map = affine_map<(h, w, c) -> (h * 2, w * 2 + 1, c)>} : (tensor<4x4x3xf32>) -> tensor<2x2x3xf32>
  %3 = "layout.view"(%x) {index_map = affine_map<(h, w, c) -> (h * 2 + 1, w * 2 + 1, c)>} : (tensor<4x4x3xf32>) -> tensor<2x2x3xf32>
  %4 = "layout.concat"(%0, %1) {dim = 2} : (tensor<2x2x3xf32>, tensor<2x2x3xf32>) -> tensor<2x2x6xf32>
  %5 = "layout.concat"(%4, %2) {dim = 2} : (tensor<2x2x6xf32>, tensor<2x2x3xf32>) -> tensor<2x2x9xf32>
  %6 = "layout.concat"(%5, %3) {dim = 2} : (tensor<2x2x9xf32>, tensor<2x2x3xf32>) -> tensor<2x2x12xf32>
  return %6 : tensor<2x2x12xf32>
}

// -----

// Pieces of two tensors, of different lengths, or at distances that no index map has stay; a link that fits goes.

// CHECK-LABEL: func.func @stays
// CHECK-COUNT-3: "layout.concat"
// CHECK: return
func.func @stays(%x: tensor<4x6xf32>, %y: tensor<4x6xf32>) -> (tensor<8x6xf32>, tensor<4x5xf32>, tensor<3x6xf32>) {
  %0 = "layout.concat"(%x, %y) {dim = 0} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<4x6xf32>) -> tensor<4x2xf32>
  %2 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j + 2)>} : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %3 = "layout.concat"(%1, %2) {dim = 1} : (tensor<4x2xf32>, tensor<4x3xf32>) -> tensor<4x5xf32>
  %4 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (0, j)>} : (tensor<4x6xf32>) -> tensor<1x6xf32>
  %5 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (1, j)>} : (tensor<4x6xf32>) -> tensor<1x6xf32>
  %6 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (3, j)>} : (tensor<4x6xf32>) -> tensor<1x6xf32>
  %7 = "layout.concat"(%4, %5) {dim = 0} : (tensor<1x6xf32>, tensor<1x6xf32>) -> tensor<2x6xf32>
  %8 = "layout.concat"(%7, %6) {dim = 0} : (tensor<2x6xf32>, tensor<1x6xf32>) -> tensor<3x6xf32>
  return %0, %3, %8 : tensor<8x6xf32>, tensor<4x5xf32>, tensor<3x6xf32>
}

// -----

// A link of the chain that something else reads stays; the whole is one view all the same.

// CHECK-LABEL: func.func @shared_link
// CHECK: %[[LINK:.*]] = "layout.{{view|concat}}"{{.*}} -> tensor<2x12xf32>
// CHECK: %[[ALL:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<2x24xf32>
// CHECK: return %[[LINK]], %[[ALL]]
func.func @shared_link(%x: tensor<8x6xf32>) -> (tensor<2x12xf32>, tensor<2x24xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i * 4, j)>} : (tensor<8x6xf32>) -> tensor<2x6xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i * 4 + 1, j)>} : (tensor<8x6xf32>) -> tensor<2x6xf32>
  %2 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i * 4 + 2, j)>} : (tensor<8x6xf32>) -> tensor<2x6xf32>
  %3 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i * 4 + 3, j)>} : (tensor<8x6xf32>) -> tensor<2x6xf32>
  %4 = "layout.concat"(%0, %1) {dim = 1} : (tensor<2x6xf32>, tensor<2x6xf32>) -> tensor<2x12xf32>
  %5 = "layout.concat"(%4, %2) {dim = 1} : (tensor<2x12xf32>, tensor<2x6xf32>) -> tensor<2x18xf32>
  %6 = "layout.concat"(%5, %3) {dim = 1} : (tensor<2x18xf32>, tensor<2x6xf32>) -> tensor<2x24xf32>
  return %4, %6 : tensor<2x12xf32>, tensor<2x24xf32>
}
