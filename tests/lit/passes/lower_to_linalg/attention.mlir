// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// Scores, softmax along the keys, weighted values. IREE's own attention op does not compile for Vulkan.

// CHECK-LABEL: func.func @plain
// CHECK-NOT: iree_linalg_ext
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<6x4x6xf32>, tensor<6x5x6xf32>) outs(%{{.*}} : tensor<6x4x5xf32>)
// CHECK: arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: arith.divf
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<6x4x5xf32>, tensor<6x5x8xf32>) outs(%{{.*}} : tensor<6x4x8xf32>)
// CHECK: tensor.expand_shape {{.*}} output_shape [2, 3, 4, 8]
func.func @plain(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x5x6xf32>, %v: tensor<2x3x5x8xf32>) -> tensor<2x3x4x8xf32> {
  %0 = "layout.attention"(%q, %k, %v) {causal = false, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x5x6xf32>, tensor<2x3x5x8xf32>) -> tensor<2x3x4x8xf32>
  return %0 : tensor<2x3x4x8xf32>
}

// -----

// Causal: a key after its query scores -inf. Scores of 16-bit floats are f32; a row without keys gives zeros, not NaN.

// CHECK-LABEL: func.func @causal
// CHECK: linalg.generic {{.*}} ins(%arg0, %arg1 : tensor<2x4x6xf16>, tensor<2x4x6xf16>) outs(%{{.*}} : tensor<2x4x4xf32>)
// CHECK: %[[ROW:.*]] = linalg.index 1 : index
// CHECK: %[[COLUMN:.*]] = linalg.index 2 : index
// CHECK: %[[PAST:.*]] = arith.cmpi sle, %[[COLUMN]], %[[ROW]] : index
// CHECK: arith.select %[[PAST]]
// CHECK: arith.maximumf
// CHECK: arith.cmpf oeq
// CHECK: arith.select
// CHECK: math.exp
// CHECK: arith.cmpf oeq
// CHECK: arith.select
// CHECK: arith.divf
// CHECK: arith.truncf
func.func @causal(%q: tensor<2x4x6xf16>, %k: tensor<2x4x6xf16>, %v: tensor<2x4x6xf16>) -> tensor<2x4x6xf16> {
  %0 = "layout.attention"(%q, %k, %v) {causal = true, keys = 4 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x4x6xf16>, tensor<2x4x6xf16>, tensor<2x4x6xf16>) -> tensor<2x4x6xf16>
  return %0 : tensor<2x4x6xf16>
}

// -----

// A boolean mask keeps where true; it is broadcast by reading only the axes it has.

// CHECK-DAG: #[[KEY:.*]] = affine_map<(d0, d1, d2) -> (d2)>
// CHECK-LABEL: func.func @masked
// CHECK: %[[KEEP:.*]] = tensor.collapse_shape %arg3 {{\[\[}}0, 1, 2]] : tensor<1x1x5xi1> into tensor<5xi1>
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[KEY]], #{{.*}}], {{.*}} ins(%{{.*}}, %[[KEEP]] : tensor<2x4x5xf32>, tensor<5xi1>)
// CHECK: arith.mulf
// CHECK: arith.select
func.func @masked(%q: tensor<2x4x6xf32>, %k: tensor<2x5x6xf32>, %v: tensor<2x5x6xf32>, %keep: tensor<1x1x5xi1>) -> tensor<2x4x6xf32> {
  %0 = "layout.attention"(%q, %k, %v, %keep) {causal = false, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 1>, scale = 0.5 : f64} : (tensor<2x4x6xf32>, tensor<2x5x6xf32>, tensor<2x5x6xf32>, tensor<1x1x5xi1>) -> tensor<2x4x6xf32>
  return %0 : tensor<2x4x6xf32>
}

// -----

// Where the softmax is one kernel, powers are computed where they are summed and where they are divided, and kept nowhere.

// CHECK-LABEL: func.func @row_kernel
// CHECK: mulf
// CHECK: "flow.dispatch.region"()
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: math.exp
// CHECK: arith.divf
// CHECK: "flow.return"
// CHECK: mulf
func.func @row_kernel(%q: tensor<2x4x6xf32>, %k: tensor<2x5x6xf32>, %v: tensor<2x5x6xf32>) -> tensor<2x4x6xf32> {
  %0 = "layout.attention"(%q, %k, %v) {causal = false, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, row_kernel, scale = 0.5 : f64} : (tensor<2x4x6xf32>, tensor<2x5x6xf32>, tensor<2x5x6xf32>) -> tensor<2x4x6xf32>
  return %0 : tensor<2x4x6xf32>
}
