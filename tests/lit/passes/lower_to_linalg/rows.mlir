// RUN: %smartmem-opt %s --pass-pipeline='smartmem-lower-to-linalg{device=vulkan}' | %filecheck %s

// A chain over rows is one region: each reduction, and the result, compute anew what they read. Sums of 16-bit floats
// are kept in f32, and are what the model has of them where they are read.

// CHECK-LABEL: func.func @chain(
// CHECK-SAME: %[[X:[^:]*]]: tensor<6x8xf16>, %[[S:.*]]: tensor<8xf16>)
// CHECK: flow.dispatch.region
// CHECK: %[[SUM:.*]] = linalg.generic {{{.*}}iterator_types = ["parallel", "reduction"]} ins(%[[X]] : tensor<6x8xf16>) outs({{.*}} : tensor<6xf32>)
// CHECK: arith.mulf
// CHECK: arith.extf
// CHECK: arith.addf {{.*}} : f32
// CHECK: linalg.generic {{{.*}}iterator_types = ["parallel", "parallel"]} ins(%[[X]], %[[SUM]], %[[S]]
// CHECK: arith.divf {{.*}} : f32
// CHECK: arith.truncf
// CHECK: flow.return
func.func @chain(%x: tensor<6x8xf16>, %s: tensor<8xf16>) -> tensor<6x8xf16> {
  %0 = "layout.elementwise"(%x, %x) {block = 0, fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf16>, tensor<6x8xf16>) -> tensor<6x8xf16>
  %1 = "layout.reduce"(%0) {block = 0, dims = array<i64: 1>, kind = "mean"} : (tensor<6x8xf16>) -> tensor<6xf16>
  %2 = "layout.view"(%1) {block = 0, index_map = affine_map<(i, j) -> (i)>} : (tensor<6xf16>) -> tensor<6x1xf16>
  %3 = "layout.elementwise"(%2) {block = 0, fn = "rsqrt", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x1xf16>) -> tensor<6x1xf16>
  %4 = "layout.elementwise"(%x, %3) {block = 0, fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf16>, tensor<6x1xf16>) -> tensor<6x8xf16>
  %5 = "layout.elementwise"(%4, %s) {block = 0, fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf16>, tensor<8xf16>) -> tensor<6x8xf16>
  return %5 : tensor<6x8xf16>
}
