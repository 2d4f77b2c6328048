// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-joins,smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// A weight is a global filled from the archive's entry for its key and layout; two loads share one global.

// CHECK: "util.global"() {initial_value = #flow.parameter.named<"model"::"fc.weight@[1, 0]"> : tensor<2x3xf32>, sym_name = "weight_0"
// CHECK-NOT: "util.global"()
// CHECK-LABEL: func.func @weight
// CHECK: %[[A:.*]] = "util.global.load"() {global = @weight_0} : () -> tensor<2x3xf32>
// CHECK: %[[B:.*]] = "util.global.load"() {global = @weight_0} : () -> tensor<2x3xf32>
// CHECK: linalg.generic {{.*}} ins(%[[A]], %[[B]] : tensor<2x3xf32>, tensor<2x3xf32>) outs(%{{.*}} : tensor<3x2xf32>)
func.func @weight() -> tensor<2x3xf32> {
  %0 = "layout.weight"() {encoding = #layout.dense, key = "fc.weight"} : () -> tensor<3x2xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %1 = "layout.weight"() {encoding = #layout.dense, key = "fc.weight"} : () -> tensor<3x2xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %2 = "layout.elementwise"(%0, %1) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x2xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>, tensor<3x2xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>) -> tensor<3x2xf32>
  %3 = "layout.view"(%2) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<3x2xf32>) -> tensor<2x3xf32>
  return %3 : tensor<2x3xf32>
}

// -----

// A reshape costs nothing.

// CHECK-LABEL: func.func @reshape
// CHECK-NEXT: tensor.expand_shape %arg0 {{\[\[}}0], [1, 2]] output_shape [4, 2, 3] : tensor<4x6xf32> into tensor<4x2x3xf32>
// CHECK-NEXT: return
func.func @reshape(%x: tensor<4x6xf32>) -> tensor<4x2x3xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j, k) -> (i, j * 3 + k)>} : (tensor<4x6xf32>) -> tensor<4x2x3xf32>
  return %0 : tensor<4x2x3xf32>
}

// -----

// A transpose is one generic, which IREE fuses with what follows.

// CHECK-DAG: #[[IN:.*]] = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: func.func @transpose
// CHECK: linalg.generic {indexing_maps = [#[[IN]], #[[OUT]]], iterator_types = ["parallel", "parallel"]} ins(%arg0 : tensor<4x6xf32>)
func.func @transpose(%x: tensor<4x6xf32>) -> tensor<6x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  return %0 : tensor<6x4xf32>
}

// -----

// A strided box is a slice.

// CHECK-LABEL: func.func @slice
// CHECK-NEXT: tensor.extract_slice %arg0[1, 2] [2, 2] [1, 3] : tensor<4x6xf32> to tensor<2x2xf32>
// CHECK-NEXT: return
func.func @slice(%x: tensor<4x6xf32>) -> tensor<2x2xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i + 1, j * 3 + 2)>} : (tensor<4x6xf32>) -> tensor<2x2xf32>
  return %0 : tensor<2x2xf32>
}

// -----

// A roll reads element by element, at a position computed from the loops, so that it fuses with what reads it.

// CHECK-LABEL: func.func @roll
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]
// CHECK-DAG: %[[I:.*]] = linalg.index 0 : index
// CHECK-DAG: %[[J:.*]] = linalg.index 1 : index
// CHECK: %[[MOVED:.*]] = arith.addi %[[I]], %{{.*}} : index
// CHECK: arith.remsi %[[MOVED]], %{{.*}} : index
// CHECK: tensor.extract %arg0[%{{.*}}, %[[J]]] : tensor<8x4xf32>
func.func @roll(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> ((i + 3) mod 8, j)>} : (tensor<8x4xf32>) -> tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

// A map that is no reshape, slice or transpose is read element by element.

// CHECK-LABEL: func.func @flip
// CHECK: linalg.generic
// CHECK: %[[I:.*]] = linalg.index 0 : index
// CHECK: %[[J:.*]] = arith.subi %{{.*}}, %[[I]] : index
// CHECK: tensor.extract %arg0[%[[J]]] : tensor<8xf32>
func.func @flip(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i) -> (-i + 7)>} : (tensor<8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

// A relayout is a copy into the other order; a view that undoes the order is only a reshape.

// CHECK-LABEL: func.func @relayout
// CHECK: %[[LAST:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<1x3x8x8xf32>) outs(%{{.*}} : tensor<1x8x8x3xf32>)
// CHECK-NOT: linalg.generic
// CHECK: tensor.collapse_shape %[[LAST]] {{\[\[}}0], [1, 2], [3]] : tensor<1x8x8x3xf32> into tensor<1x64x3xf32>
func.func @relayout(%x: tensor<1x3x8x8xf32>) -> tensor<1x64x3xf32> {
  %0 = "layout.relayout"(%x) : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, t, c) -> (n, c, t floordiv 8, t mod 8)>} : (tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x64x3xf32>
  return %1 : tensor<1x64x3xf32>
}

// -----

// A chain of what kernels of their own make is joined at once, in place.

// CHECK-LABEL: func.func @concat
// CHECK: tensor.concat dim(0) %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x4xf32>, tensor<3x4xf32>, tensor<2x4xf32>) -> tensor<7x4xf32>
// CHECK-NEXT: return
func.func @concat(%x: tensor<2x4xf32>, %y: tensor<3x4xf32>) -> tensor<7x4xf32> {
  %a = "layout.softmax"(%x) {dim = 1, log = false} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %b = "layout.softmax"(%y) {dim = 1, log = false} : (tensor<3x4xf32>) -> tensor<3x4xf32>
  %0 = "layout.concat"(%a, %b) {dim = 0} : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  %1 = "layout.concat"(%0, %x) {dim = 0} : (tensor<5x4xf32>, tensor<2x4xf32>) -> tensor<7x4xf32>
  return %1 : tensor<7x4xf32>
}

// -----

// A mirrored border is one load at a chosen position, in the order of the result's memory.

// CHECK-LABEL: func.func @mirrored
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<5x4xf32>)
// CHECK-COUNT-2: arith.select {{.*}} : index
// CHECK: %[[ITEM:.*]] = tensor.extract %arg0
// CHECK-NOT: tensor.extract
// CHECK: linalg.yield %[[ITEM]]
// CHECK-NOT: tensor.concat
func.func @mirrored(%x: tensor<4x3xf32>) -> tensor<5x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, 1)>} : (tensor<4x3xf32>) -> tensor<4x1xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, 1)>} : (tensor<4x3xf32>) -> tensor<4x1xf32>
  %2 = "layout.concat"(%0, %x) {dim = 1} : (tensor<4x1xf32>, tensor<4x3xf32>) -> tensor<4x4xf32>
  %3 = "layout.concat"(%2, %1) {dim = 1} : (tensor<4x4xf32>, tensor<4x1xf32>) -> tensor<4x5xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %4 = "layout.view"(%3) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x5xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>) -> tensor<5x4xf32>
  return %4 : tensor<5x4xf32>
}

// -----

// The halves of rotary positions, one of them negated: two loads, no kernel for the negation.

// CHECK-LABEL: func.func @halves
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<3x8xf32>)
// CHECK: tensor.extract %arg0
// CHECK: arith.negf
// CHECK: tensor.extract %arg0
// CHECK: arith.select {{.*}} : f32
func.func @halves(%x: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j + 4)>} : (tensor<3x8xf32>) -> tensor<3x4xf32>
  %1 = "layout.elementwise"(%0) {fn = "neg", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<3x4xf32>) -> tensor<3x4xf32>
  %2 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<3x8xf32>) -> tensor<3x4xf32>
  %3 = "layout.concat"(%1, %2) {dim = 1} : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x8xf32>
  return %3 : tensor<3x8xf32>
}

// -----

// A box is cut out of what is reshaped, not reshaped when it is cut out, which would be a copy.

// CHECK-LABEL: func.func @cut_last(
// CHECK-SAME: %[[X:.*]]: tensor<2x3x16xf32>
// CHECK-NEXT: %[[ROWS:.*]] = tensor.collapse_shape %[[X]] {{.*}} into tensor<6x16xf32>
// CHECK-NEXT: %[[WIDE:.*]] = tensor.expand_shape %[[ROWS]] {{.*}} into tensor<6x4x4xf32>
// CHECK-NEXT: %[[BOX:.*]] = tensor.extract_slice %[[WIDE]][0, 2, 0] [6, 2, 4]
// CHECK-NEXT: return %[[BOX]]
func.func @cut_last(%x: tensor<2x3x16xf32>) -> tensor<6x2x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(t, h, c) -> (t floordiv 3, t mod 3, h * 4 + c + 8)>} : (tensor<2x3x16xf32>) -> tensor<6x2x4xf32>
  return %0 : tensor<6x2x4xf32>
}

// -----

// One that would have gaps in the dims that are joined has to be cut first.

// CHECK-LABEL: func.func @cut_first(
// CHECK-SAME: %[[X:.*]]: tensor<2x8x4xf32>
// CHECK-NEXT: %[[BOX:.*]] = tensor.extract_slice %[[X]][0, 1, 0] [2, 3, 4]
// CHECK-NEXT: tensor.collapse_shape %[[BOX]]
func.func @cut_first(%x: tensor<2x8x4xf32>) -> tensor<6x4xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(t, c) -> (t floordiv 3, t mod 3 + 1, c)>} : (tensor<2x8x4xf32>) -> tensor<6x4xf32>
  return %0 : tensor<6x4xf32>
}

// -----

// A border around a view is one kernel, which looks through the view; around what a kernel makes it is a pad, into which
// that kernel writes.

// CHECK-LABEL: func.func @border(
// CHECK-SAME: %[[X:.*]]: tensor<3x4xf32>
// CHECK-NOT: tensor.pad
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<5x3xf32>)
// CHECK: arith.cmpi sle
// CHECK: %[[ITEM:.*]] = tensor.extract %[[X]]
// CHECK: arith.select %{{.*}}, %[[ITEM]], %{{.*}}
// CHECK: tensor.pad
func.func @border(%x: tensor<3x4xf32>) -> (tensor<5x3xf32>, tensor<4x4xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<3x4xf32>) -> tensor<4x3xf32>
  %1 = "layout.pad"(%0) {high = array<i64: 1, 0>, low = array<i64: 0, 0>, value = 1.0 : f32} : (tensor<4x3xf32>) -> tensor<5x3xf32>
  %2 = "layout.elementwise"(%x) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<3x4xf32>) -> tensor<3x4xf32>
  %3 = "layout.pad"(%2) {high = array<i64: 1, 0>, low = array<i64: 0, 0>, value = 1.0 : f32} : (tensor<3x4xf32>) -> tensor<4x4xf32>
  return %1, %3 : tensor<5x3xf32>, tensor<4x4xf32>
}

// -----

// A join of which functions of elements see parts, and a border, is not written out: each part chooses from the pieces.

// CHECK-LABEL: func.func @shown(
// CHECK-SAME: %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<2x4xf32>
// CHECK-NOT: tensor<2x8xf32>
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<4x2xf32>)
// CHECK: tensor.extract %[[X]]
// CHECK: tensor.extract %[[Y]]
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<2x5xf32>)
// CHECK: tensor.extract %[[X]]
// CHECK: tensor.extract %[[Y]]
// CHECK-NOT: tensor<2x8xf32>
func.func @shown(%x: tensor<2x4xf32>, %y: tensor<2x4xf32>) -> (tensor<4x2xf32>, tensor<2x5xf32>) {
  %0 = "layout.concat"(%x, %y) {dim = 1 : i64} : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x8xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (j, i + 2)>} : (tensor<2x8xf32>) -> tensor<4x2xf32>
  %2 = "layout.elementwise"(%1) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x2xf32>) -> tensor<4x2xf32>
  %3 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j + 3)>} : (tensor<2x8xf32>) -> tensor<2x4xf32>
  %4 = "layout.pad"(%3) {high = array<i64: 0, 1>, low = array<i64: 0, 0>, value = 0.0 : f32} : (tensor<2x4xf32>) -> tensor<2x5xf32>
  return %2, %4 : tensor<4x2xf32>, tensor<2x5xf32>
}
