// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=cpu},canonicalize,cse' | %filecheck %s

// A mean is a sum over the dims as they lie in memory, scaled.

// CHECK-LABEL: func.func @mean
// CHECK-DAG: %[[COUNT:.*]] = arith.constant 6.400000e+01 : f32
// CHECK: iterator_types = ["parallel", "reduction", "reduction", "parallel"]} ins(%{{.*}} : tensor<1x8x8x3xf32>) outs(%{{.*}} : tensor<1x3xf32>)
// CHECK: arith.addf
// CHECK: arith.divf %{{.*}}, %[[COUNT]]
func.func @mean(%x: tensor<1x3x8x8xf32>) -> tensor<1x3xf32> {
  %0 = "layout.relayout"(%x) : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.reduce"(%0) {dims = array<i64: 2, 3>, kind = "mean"} : (tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x3xf32>
  return %1 : tensor<1x3xf32>
}

// -----

// max starts at -inf and stays in its own type.

// CHECK-LABEL: func.func @largest
// CHECK: arith.constant 0xFC00 : f16
// CHECK: iterator_types = ["parallel", "reduction"]} ins(%arg0 : tensor<4x6xf16>) outs(%{{.*}} : tensor<4xf16>)
// CHECK: arith.maximumf
func.func @largest(%x: tensor<4x6xf16>) -> tensor<4xf16> {
  %0 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "max"} : (tensor<4x6xf16>) -> tensor<4xf16>
  return %0 : tensor<4xf16>
}

// -----

// min over integers starts at the largest integer; all dims give a scalar, the innermost first.

// CHECK-LABEL: func.func @smallest_integer
// CHECK: arith.constant 2147483647 : i32
// CHECK: iterator_types = ["parallel", "reduction"]} ins(%arg0 : tensor<4x6xi32>)
// CHECK: arith.minsi
// CHECK: iterator_types = ["reduction"]} ins(%{{.*}} : tensor<4xi32>) outs(%{{.*}} : tensor<i32>)
// CHECK: arith.minsi
func.func @smallest_integer(%x: tensor<4x6xi32>) -> tensor<i32> {
  %0 = "layout.reduce"(%x) {dims = array<i64: 0, 1>, kind = "min"} : (tensor<4x6xi32>) -> tensor<i32>
  return %0 : tensor<i32>
}

// -----

// any is an or.

// CHECK-LABEL: func.func @any
// CHECK: arith.constant false
// CHECK: arith.ori
func.func @any(%x: tensor<4x6xi1>) -> tensor<4xi1> {
  %0 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "any"} : (tensor<4x6xi1>) -> tensor<4xi1>
  return %0 : tensor<4xi1>
}
