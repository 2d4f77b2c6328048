// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// Largest, exponentials, their sum, shares; statistics of 16-bit floats in f32.

// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func.func @softmax
// CHECK: %[[TOP:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]]], iterator_types = ["parallel", "reduction"]} ins(%arg0 : tensor<4x6xf16>)
// CHECK: arith.maximumf
// CHECK: %[[POWERS:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]], #[[ALL]]], iterator_types = ["parallel", "parallel"]} ins(%arg0, %[[TOP]] : {{.*}}) outs(%{{.*}} : tensor<4x6xf32>)
// CHECK: arith.subf {{.*}} : f32
// CHECK: math.exp {{.*}} : f32
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[POWERS]] : tensor<4x6xf32>) outs(%{{.*}} : tensor<4xf32>)
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} ins(%[[POWERS]], %[[SUM]] : {{.*}}) outs(%{{.*}} : tensor<4x6xf16>)
// CHECK: arith.divf
// CHECK: arith.truncf
func.func @softmax(%x: tensor<4x6xf16>) -> tensor<4x6xf16> {
  %0 = "layout.softmax"(%x) {dim = 1, log = false} : (tensor<4x6xf16>) -> tensor<4x6xf16>
  return %0 : tensor<4x6xf16>
}

// -----

// Its logarithm subtracts the log of the sum.

// CHECK-LABEL: func.func @log_softmax
// CHECK: iterator_types = ["reduction", "parallel"]
// CHECK: arith.maximumf
// CHECK: arith.subf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: math.log
// CHECK: arith.subf
func.func @log_softmax(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.softmax"(%x) {dim = 0, log = true} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// Mean, variance of the centred values (two passes: no cancellation), then one pass over the elements.

// CHECK-DAG: #[[COLUMN:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: func.func @layer_norm
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%arg0 : tensor<4x6xf32>)
// CHECK: arith.addf
// CHECK: %[[SQUARES:.*]] = linalg.generic {{.*}} ins(%arg0, %[[SUM]] : {{.*}})
// CHECK: arith.subf
// CHECK: arith.mulf
// CHECK: %[[SPREAD:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]} ins(%[[SQUARES]] : tensor<4x6xf32>)
// CHECK: linalg.generic {{.*}}#[[COLUMN]], #[[COLUMN]], {{.*}} ins(%arg0, %[[SUM]], %[[SPREAD]], %arg1, %arg2 : {{.*}})
// CHECK: math.rsqrt
func.func @layer_norm(%x: tensor<4x6xf32>, %w: tensor<6xf32>, %b: tensor<6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.layer_norm"(%x, %w, %b) {eps = 1.0e-5 : f64, normalized_dims = 1, operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<4x6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}
