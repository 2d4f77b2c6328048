// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// Loops run in the order of the result's memory; a broadcast operand loses the axes it repeats along.

// CHECK-DAG: #[[OUT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
// CHECK-DAG: #[[CHANNEL:.*]] = affine_map<(d0, d1, d2, d3) -> (d3)>
// CHECK-LABEL: func.func @broadcast
// CHECK: %[[BIAS:.*]] = tensor.collapse_shape %arg1 {{\[\[}}0, 1, 2]] : tensor<3x1x1xf32> into tensor<3xf32>
// CHECK: linalg.generic {indexing_maps = [#[[OUT]], #[[CHANNEL]], #[[OUT]]], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%{{.*}}, %[[BIAS]] : tensor<1x4x5x3xf32>, tensor<3xf32>)
// CHECK: arith.addf
func.func @broadcast(%x: tensor<1x3x4x5xf32>, %bias: tensor<3x1x1xf32>) -> tensor<1x4x5x3xf32> {
  %0 = "layout.relayout"(%x) : (tensor<1x3x4x5xf32>) -> tensor<1x3x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.elementwise"(%0, %bias) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x3x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<3x1x1xf32>) -> tensor<1x3x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %2 = "layout.view"(%1) {index_map = affine_map<(n, h, w, c) -> (n, c, h, w)>} : (tensor<1x3x4x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x4x5x3xf32>
  return %2 : tensor<1x4x5x3xf32>
}

// -----

// Operands in different orders are read through different maps, without a copy.

// CHECK-DAG: #[[SWAP:.*]] = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-DAG: #[[SAME:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: func.func @orders
// CHECK: %[[COLUMNS:.*]] = linalg.generic
// CHECK: linalg.generic {indexing_maps = [#[[SWAP]], #[[SAME]], #[[SAME]]], {{.*}} ins(%[[COLUMNS]], %arg0 : tensor<6x4xf32>, tensor<4x6xf32>)
// CHECK: arith.mulf
func.func @orders(%x: tensor<4x6xf32>, %y: tensor<6x4xf32>) -> tensor<4x6xf32> {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %1 = "layout.elementwise"(%0, %x) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>, tensor<4x6xf32>) -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}

// -----

// Scalars are tensors of rank 0.

// CHECK-DAG: #[[SCALAR:.*]] = affine_map<(d0, d1) -> ()>
// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: func.func @select
// CHECK: linalg.generic {indexing_maps = [#[[ROW]], #{{.*}}, #[[SCALAR]], #{{.*}}]
// CHECK: arith.select
func.func @select(%keep: tensor<4xi1>, %x: tensor<2x4xf32>, %fill: tensor<f32>) -> tensor<2x4xf32> {
  %0 = "layout.elementwise"(%keep, %x, %fill) {fn = "where", operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<4xi1>, tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// -----

// To bool by comparison with zero; between floats and from integers by value.

// CHECK-LABEL: func.func @casts
// CHECK: arith.cmpf une
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: arith.sitofp %{{.*}} : i32 to f32
func.func @casts(%x: tensor<4xf32>, %i: tensor<4xi32>) -> (tensor<4xi1>, tensor<4xf16>, tensor<4xf32>) {
  %0 = "layout.elementwise"(%x) {fn = "cast", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xi1>
  %1 = "layout.elementwise"(%x) {fn = "cast", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf16>
  %2 = "layout.elementwise"(%i) {fn = "cast", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xi32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xi1>, tensor<4xf16>, tensor<4xf32>
}

// -----

// A constant of few runs is chosen by position, and is no tensor in memory.

// CHECK-LABEL: func.func @runs
// CHECK-NOT: dense<
// CHECK: linalg.generic {{.*}} ins(%arg0 : tensor<3x4xf32>)
// CHECK: linalg.index 1
// CHECK: arith.cmpi slt
// CHECK: arith.select
// CHECK: arith.mulf
func.func @runs(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %s = arith.constant dense<[0.25, 0.25, 1.0, 1.0]> : tensor<4xf32>
  %0 = "layout.elementwise"(%x, %s) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}

// -----

// What rounds between is computed in f32 and rounded once; a sum of halves is the same in half.
// Floats of different types meet in f32, and a comparison of halves asks nothing wider.

// CHECK-LABEL: func.func @halves
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: math.exp %{{.*}} : f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: arith.addf %{{.*}} : f16
// CHECK: arith.cmpf ogt, %{{.*}} : f16
// CHECK: %[[WIDE:.*]] = arith.extf %{{.*}} : f16 to f32
// CHECK: %[[SUM:.*]] = arith.addf %[[WIDE]], %{{.*}} : f32
// CHECK: arith.truncf %[[SUM]] : f32 to f16
func.func @halves(%a: tensor<4xf16>, %b: tensor<4xf16>, %c: tensor<4xf32>) -> (tensor<4xf16>, tensor<4xf16>, tensor<4xi1>, tensor<4xf16>) {
  %0 = "layout.elementwise"(%a) {fn = "exp", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf16>) -> tensor<4xf16>
  %1 = "layout.elementwise"(%a, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xf16>
  %2 = "layout.elementwise"(%a, %b) {fn = "gt", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf16>, tensor<4xf16>) -> tensor<4xi1>
  %3 = "layout.elementwise"(%a, %c) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf16>, tensor<4xf32>) -> tensor<4xf16>
  return %0, %1, %2, %3 : tensor<4xf16>, tensor<4xf16>, tensor<4xi1>, tensor<4xf16>
}
