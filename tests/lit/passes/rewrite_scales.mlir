// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-rewrite-scales | %filecheck %s

// Queries are scaled with the product they are cut out of; keys are multiplied by 1.

// CHECK-LABEL: func.func @queries
// CHECK: %[[FACTORS:.*]] = arith.constant dense<[2.500000e-01, 2.500000e-01, 1.000000e+00, 1.000000e+00]> : tensor<4xf32>
// CHECK-NEXT: %[[ALL:.*]] = "layout.elementwise"(%{{.*}}, %[[FACTORS]]) {fn = "mul"
// CHECK-NEXT: %[[Q:.*]] = "layout.view"(%[[ALL]])
// CHECK-NEXT: %[[K:.*]] = "layout.view"(%[[ALL]])
// CHECK-NEXT: return %[[Q]], %[[K]]
func.func @queries(%x: tensor<3x4xf32>, %b: tensor<4xf32>) -> (tensor<3x2xf32>, tensor<2x3xf32>) {
  %s = arith.constant dense<0.25> : tensor<f32>
  %0 = "layout.elementwise"(%x, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  %q = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<3x4xf32>) -> tensor<3x2xf32>
  %1 = "layout.elementwise"(%q, %s) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x2xf32>, tensor<f32>) -> tensor<3x2xf32>
  %k = "layout.view"(%0) {index_map = affine_map<(i, j) -> (j, i + 2)>} : (tensor<3x4xf32>) -> tensor<2x3xf32>
  return %1, %k : tensor<3x2xf32>, tensor<2x3xf32>
}

// -----

// Columns that are also read unscaled, a factor that differs from element to element, and a tensor that no kernel of
// the model makes stay as they are.

// CHECK-LABEL: func.func @not_apart
// CHECK-NOT: dense<[
// CHECK: return
func.func @not_apart(%x: tensor<3x4xf32>, %b: tensor<4xf32>, %v: tensor<2xf32>) -> (tensor<3x2xf32>, tensor<3x3xf32>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<3x2xf32>) {
  %s = arith.constant dense<0.25> : tensor<f32>
  %0 = "layout.elementwise"(%x, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  %q = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<3x4xf32>) -> tensor<3x2xf32>
  %1 = "layout.elementwise"(%q, %s) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x2xf32>, tensor<f32>) -> tensor<3x2xf32>
  %k = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i, j + 1)>} : (tensor<3x4xf32>) -> tensor<3x3xf32>
  %2 = "layout.elementwise"(%0, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x4xf32>, tensor<4xf32>) -> tensor<3x4xf32>
  %l = "layout.view"(%2) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<3x4xf32>) -> tensor<3x2xf32>
  %3 = "layout.elementwise"(%l, %v) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
  %m = "layout.view"(%2) {index_map = affine_map<(i, j) -> (i, j + 2)>} : (tensor<3x4xf32>) -> tensor<3x2xf32>
  %n = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<3x4xf32>) -> tensor<3x2xf32>
  %4 = "layout.elementwise"(%n, %s) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<3x2xf32>, tensor<f32>) -> tensor<3x2xf32>
  return %1, %k, %3, %m, %4 : tensor<3x2xf32>, tensor<3x3xf32>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<3x2xf32>
}
