// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// Neighbouring loop dims are merged: a linear layer over batch and rows is one plain matmul.

// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[B:.*]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-DAG: #[[C:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-LABEL: func.func @linear
// CHECK-DAG: %[[ROWS:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0, 1], [2]] : tensor<2x4x6xf32> into tensor<8x6xf32>
// CHECK-DAG: %[[ZERO:.*]] = linalg.fill
// CHECK: linalg.generic {indexing_maps = [#[[A]], #[[B]], #[[C]]], iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[ROWS]], %{{.*}} : tensor<8x6xf32>, tensor<6x8xf32>) outs(%[[ZERO]] : tensor<8x8xf32>)
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK: tensor.expand_shape %{{.*}} {{\[\[}}0, 1], [2]] output_shape [2, 4, 8]
func.func @linear(%x: tensor<2x4x6xf32>) -> tensor<2x4x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<8x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>, affine_map<(b, m, n, k) -> (n, k)>, affine_map<(b, m, n, k) -> (b, m, n)>]} : (tensor<2x4x6xf32>, tensor<8x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>) -> tensor<2x4x8xf32>
  return %0 : tensor<2x4x8xf32>
}

// -----

// Batch and heads merge into one batch of matmuls.

// CHECK-LABEL: func.func @heads
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%{{.*}}, %{{.*}} : tensor<6x4x6xf32>, tensor<6x5x6xf32>) outs(%{{.*}} : tensor<6x4x5xf32>)
// CHECK: tensor.expand_shape {{.*}} output_shape [2, 3, 4, 5]
func.func @heads(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x5x6xf32>) -> tensor<2x3x4x5xf32> {
  %0 = "layout.contract"(%q, %k) {indexing_maps = [affine_map<(a, b, m, n, k) -> (a, b, m, k)>, affine_map<(a, b, m, n, k) -> (a, b, n, k)>, affine_map<(a, b, m, n, k) -> (a, b, m, n)>]} : (tensor<2x3x4x6xf32>, tensor<2x3x5x6xf32>) -> tensor<2x3x4x5xf32>
  return %0 : tensor<2x3x4x5xf32>
}

// -----

// 16-bit floats are summed in f32 and rounded once.

// CHECK-LABEL: func.func @half
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%arg0, %arg1 : tensor<4x6xf16>, tensor<6x8xf16>) outs(%{{.*}} : tensor<4x8xf32>)
// CHECK: arith.extf
// CHECK: arith.extf
// CHECK: arith.mulf {{.*}} : f32
// CHECK: arith.addf {{.*}} : f32
// CHECK: linalg.generic {{.*}} ins(%[[SUM]] : tensor<4x8xf32>) outs(%{{.*}} : tensor<4x8xf16>)
// CHECK-NEXT: ^bb0
// CHECK-NEXT: arith.truncf
func.func @half(%x: tensor<4x6xf16>, %w: tensor<6x8xf16>) -> tensor<4x8xf16> {
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf16>, tensor<6x8xf16>) -> tensor<4x8xf16>
  return %0 : tensor<4x8xf16>
}

// -----

// A function that its reader computes is not made: its operands are read along the loops they have, and constants are part
// of the body.

// CHECK-LABEL: func.func @factor
// CHECK-SAME: %[[X:.*]]: tensor<6x8xf32>, %[[S:.*]]: tensor<8xf32>
// CHECK-NOT: arith.maximumf
// CHECK: linalg.generic {{.*}}"parallel", "parallel", "reduction"]} ins(%[[X]], %[[S]], %{{.*}} : tensor<6x8xf32>, tensor<8xf32>, tensor<8x4xf32>)
// CHECK-NEXT: ^bb0(%[[A:.*]]: f32, %[[B:.*]]: f32, %[[C:.*]]: f32, %[[T:.*]]: f32):
// CHECK-NEXT: %[[F:.*]] = arith.mulf %[[A]], %[[B]]
// CHECK-NEXT: %[[P:.*]] = arith.mulf %[[F]], %[[C]]
// CHECK-NEXT: arith.addf %[[T]], %[[P]]
func.func @factor(%x: tensor<6x8xf32>, %s: tensor<8xf32>, %w: tensor<8x4xf32>) -> tensor<6x4xf32> {
  %f = "layout.elementwise"(%x, %s) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>, read_in_place} : (tensor<6x8xf32>, tensor<8xf32>) -> tensor<6x8xf32>
  %0 = "layout.contract"(%f, %w) {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>]} : (tensor<6x8xf32>, tensor<8x4xf32>) -> tensor<6x4xf32>
  return %0 : tensor<6x4xf32>
}

// -----

// Operands and result in floats of their own: widened as they are read, summed in f32.

// CHECK-LABEL: func.func @mixed
// CHECK: ins(%{{.*}}, %{{.*}} : tensor<4x6xf32>, tensor<8x6xf16>) outs(%{{.*}} : tensor<4x8xf32>)
// CHECK-NEXT: ^bb0(%{{.*}}: f32, %[[B:.*]]: f16, %{{.*}}: f32):
// CHECK-NEXT: arith.extf %[[B]] : f16 to f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
func.func @mixed(%x: tensor<4x6xf32>, %w: tensor<8x6xf16>) -> tensor<4x8xf16> {
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<8x6xf16>) -> tensor<4x8xf16>
  return %0 : tensor<4x8xf16>
}
