// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=cpu},canonicalize,cse' | %filecheck %s

// The largest of each window: the border is -inf, an operand without contents gives the window's extent.

// CHECK-DAG: #[[IN:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2 * 2 + d4, d3 * 2 + d5)>
// CHECK-DAG: #[[WINDOW:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d4, d5)>
// CHECK-LABEL: func.func @max
// CHECK: %[[LOWEST:.*]] = arith.constant 0xFF800000 : f32
// CHECK: %[[PAD:.*]] = tensor.pad %arg0 low[0, 0, 1, 1] high[0, 0, 1, 1]
// CHECK: tensor.yield %[[LOWEST]]
// CHECK: %[[EXTENT:.*]] = tensor.empty() : tensor<3x3xf32>
// CHECK: linalg.generic {indexing_maps = [#[[IN]], #[[WINDOW]], #{{.*}}], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]} ins(%[[PAD]], %[[EXTENT]] : tensor<1x3x10x10xf32>, tensor<3x3xf32>)
// CHECK: arith.maximumf
func.func @max(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x4x4xf32> {
  %0 = "layout.pool"(%x) {count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, kind = "max", pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x3x8x8xf32>) -> tensor<1x3x4x4xf32>
  return %0 : tensor<1x3x4x4xf32>
}

// -----

// An average of 16-bit floats is summed in f32, divided by the window's size, and rounded once.

// CHECK-LABEL: func.func @average
// CHECK: %[[COUNT:.*]] = arith.constant 4.000000e+00 : f32
// CHECK: outs(%{{.*}} : tensor<1x3x4x4xf32>)
// CHECK: arith.extf
// CHECK: arith.addf
// CHECK: arith.divf %{{.*}}, %[[COUNT]] : f32
// CHECK-NEXT: arith.truncf
func.func @average(%x: tensor<1x3x8x8xf16>) -> tensor<1x3x4x4xf16> {
  %0 = "layout.pool"(%x) {count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, kind = "avg", pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x3x8x8xf16>) -> tensor<1x3x4x4xf16>
  return %0 : tensor<1x3x4x4xf16>
}

// -----

// Without the border in the count, the divisor is a constant per position.

// CHECK-LABEL: func.func @valid_part
// CHECK: %[[COUNTS:.*]] = arith.constant dense<[2.000000e+00, 3.000000e+00, 3.000000e+00, 2.000000e+00]> : tensor<4xf32>
// CHECK: ins(%{{.*}}, %[[COUNTS]] : tensor<1x3x4xf32>, tensor<4xf32>)
// CHECK: arith.divf
func.func @valid_part(%x: tensor<1x3x4xf32>) -> tensor<1x3x4xf32> {
  %0 = "layout.pool"(%x) {count_include_pad = false, dilations = array<i64: 1>, kernel = array<i64: 3>, kind = "avg", pad_high = array<i64: 1>, pad_low = array<i64: 1>, strides = array<i64: 1>} : (tensor<1x3x4xf32>) -> tensor<1x3x4xf32>
  return %0 : tensor<1x3x4xf32>
}
