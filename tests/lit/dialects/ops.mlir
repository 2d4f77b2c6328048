// RUN: %smartmem-opt %s -o %t.once
// RUN: %smartmem-opt %t.once -o %t.twice
// RUN: diff %t.once %t.twice
// RUN: %filecheck %s < %t.twice

// Every op of the layout dialect: what is parsed is printed, and what is printed is parsed.

// CHECK-DAG: #[[SWAP:.*]] = affine_map<(d0, d1) -> (d1, d0)>
// CHECK-DAG: #[[SPLIT:.*]] = affine_map<(d0, d1, d2) -> (d0, d1 * 3 + d2)>
// CHECK-DAG: #[[JOIN:.*]] = affine_map<(d0) -> (d0 floordiv 6, d0 mod 6)>

// CHECK-LABEL: func.func @structure
func.func @structure(%x: tensor<4x6xf32>, %rows: tensor<2x5xi32>) -> tensor<24xf32> {
  // CHECK-NEXT: "layout.weight"() {encoding = #layout.dense, key = "encoder.0.weight"} : () -> tensor<6xf32>
  %0 = "layout.weight"() {encoding = #layout.dense, key = "encoder.0.weight"} : () -> tensor<6xf32>
  // CHECK-NEXT: "layout.view"(%arg0) {index_map = #[[SWAP]]} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  // CHECK-NEXT: "layout.view"(%arg0) {index_map = #[[SPLIT]]} : (tensor<4x6xf32>) -> tensor<4x2x3xf32>
  %2 = "layout.view"(%x) {index_map = affine_map<(i, j, k) -> (i, j * 3 + k)>} : (tensor<4x6xf32>) -> tensor<4x2x3xf32>
  // CHECK-NEXT: "layout.relayout"(%arg0) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  %3 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  // CHECK-NEXT: "layout.pad"(%arg0) {high = array<i64: 0, 2>, low = array<i64: 1, 0>, value = -1.000000e+00 : f32} : (tensor<4x6xf32>) -> tensor<5x8xf32>
  %4 = "layout.pad"(%x) {low = array<i64: 1, 0>, high = array<i64: 0, 2>, value = -1.0 : f32} : (tensor<4x6xf32>) -> tensor<5x8xf32>
  // CHECK-NEXT: "layout.concat"(%arg0, %arg0) {dim = 1 : i64} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x12xf32>
  %5 = "layout.concat"(%x, %x) {dim = 1} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x12xf32>
  // CHECK-NEXT: "layout.gather"(%arg0, %arg1) {dim = 1 : i64} : (tensor<4x6xf32>, tensor<2x5xi32>) -> tensor<4x2x5xf32>
  %6 = "layout.gather"(%x, %rows) {dim = 1} : (tensor<4x6xf32>, tensor<2x5xi32>) -> tensor<4x2x5xf32>
  // CHECK-NEXT: "layout.view"(%arg0) {index_map = #[[JOIN]]} : (tensor<4x6xf32>) -> tensor<24xf32>
  %7 = "layout.view"(%x) {index_map = affine_map<(i) -> (i floordiv 6, i mod 6)>} : (tensor<4x6xf32>) -> tensor<24xf32>
  return %7 : tensor<24xf32>
}

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: tensor<4x6xf32>, %row: tensor<6xf32>, %keep: tensor<4x6xi1>) -> tensor<4x6xf32> {
  // CHECK-NEXT: "layout.elementwise"(%arg0) {fn = "gelu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %0 = "layout.elementwise"(%x) {fn = "gelu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.elementwise"(%arg0, %arg1) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %1 = "layout.elementwise"(%x, %row) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.elementwise"(%arg2, %{{.*}}, %{{.*}}) {fn = "where", operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<4x6xi1>, tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = "layout.elementwise"(%keep, %0, %1) {fn = "where", operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<4x6xi1>, tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: {fn = "lt", {{.*}}} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xi1>
  %3 = "layout.elementwise"(%x, %row) {fn = "lt", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xi1>
  // CHECK-NEXT: {fn = "cast", {{.*}}} : (tensor<4x6xf32>) -> tensor<4x6xf16>
  %4 = "layout.elementwise"(%x) {fn = "cast", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf16>
  return %2 : tensor<4x6xf32>
}

// CHECK-LABEL: func.func @contraction
func.func @contraction(%x: tensor<4x6xf32>, %w: tensor<8x6xf32>) -> tensor<4x8xf32> {
  // CHECK-NEXT: "layout.contract"(%arg0, %arg1) {indexing_maps = [#{{.*}}, #{{.*}}, #{{.*}}]} : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @windows
func.func @windows(%x: tensor<2x4x9x7xf32>, %w: tensor<8x2x3x3xf32>) -> tensor<2x8x2x2xf32> {
  // CHECK-NEXT: "layout.conv"(%arg0, %arg1) {dilations = array<i64: 1, 1>, groups = 2 : i64, pad_high = array<i64: 1, 0>, pad_low = array<i64: 1, 0>, strides = array<i64: 2, 1>} : (tensor<2x4x9x7xf32>, tensor<8x2x3x3xf32>) -> tensor<2x8x5x5xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 2, pad_high = array<i64: 1, 0>, pad_low = array<i64: 1, 0>, strides = array<i64: 2, 1>} : (tensor<2x4x9x7xf32>, tensor<8x2x3x3xf32>) -> tensor<2x8x5x5xf32>
  // CHECK-NEXT: "layout.pool"(%{{.*}}) {count_include_pad = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, kind = "avg", pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<2x8x5x5xf32>) -> tensor<2x8x2x2xf32>
  %1 = "layout.pool"(%0) {count_include_pad = false, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, kind = "avg", pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<2x8x5x5xf32>) -> tensor<2x8x2x2xf32>
  return %1 : tensor<2x8x2x2xf32>
}

// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<4x6xf32>, %w: tensor<6xf32>) -> tensor<6xf32> {
  // CHECK-NEXT: "layout.softmax"(%arg0) {dim = 1 : i64, log = false} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %0 = "layout.softmax"(%x) {dim = 1, log = false} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.layer_norm"(%{{.*}}, %arg1) {eps = 1.000000e-05 : f64, normalized_dims = 1 : i64, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %1 = "layout.layer_norm"(%0, %w) {eps = 1.0e-5 : f64, normalized_dims = 1, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.reduce"(%{{.*}}) {dims = array<i64: 0>, kind = "mean"} : (tensor<4x6xf32>) -> tensor<6xf32>
  %2 = "layout.reduce"(%1) {dims = array<i64: 0>, kind = "mean"} : (tensor<4x6xf32>) -> tensor<6xf32>
  return %2 : tensor<6xf32>
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x4x6xf32>, %k: tensor<2x5x6xf32>, %v: tensor<2x5x3xf32>, %keep: tensor<4x5xi1>) -> tensor<2x4x3xf32> {
  // CHECK-NEXT: "layout.attention"(%arg0, %arg1, %arg2) {causal = true, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 5.000000e-01 : f64} : (tensor<2x4x6xf32>, tensor<2x5x6xf32>, tensor<2x5x3xf32>) -> tensor<2x4x3xf32>
  %0 = "layout.attention"(%q, %k, %v) {causal = true, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x4x6xf32>, tensor<2x5x6xf32>, tensor<2x5x3xf32>) -> tensor<2x4x3xf32>
  // CHECK-NEXT: "layout.attention"(%arg0, %arg1, %arg2, %arg3) {causal = false, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 1>, scale = 5.000000e-01 : f64} : (tensor<2x4x6xf32>, tensor<2x5x6xf32>, tensor<2x5x3xf32>, tensor<4x5xi1>) -> tensor<2x4x3xf32>
  %1 = "layout.attention"(%q, %k, %v, %keep) {causal = false, keys = 5 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 1>, scale = 0.5 : f64} : (tensor<2x4x6xf32>, tensor<2x5x6xf32>, tensor<2x5x3xf32>, tensor<4x5xi1>) -> tensor<2x4x3xf32>
  return %1 : tensor<2x4x3xf32>
}

// CHECK-LABEL: func.func @positions
func.func @positions(%x: tensor<4x6xf32>, %at: tensor<4x2xi32>, %rows: tensor<3xi32>, %new: tensor<3x6xf32>) -> tensor<4xi32> {
  // CHECK-NEXT: "layout.gather_elements"(%arg0, %arg1) {dim = 1 : i64} : (tensor<4x6xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
  %0 = "layout.gather_elements"(%x, %at) {dim = 1} : (tensor<4x6xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
  // CHECK-NEXT: "layout.scatter"(%arg0, %arg1, %{{.*}}) {dim = 1 : i64, kind = "sum"} : (tensor<4x6xf32>, tensor<4x2xi32>, tensor<4x2xf32>) -> tensor<4x6xf32>
  %1 = "layout.scatter"(%x, %at, %0) {dim = 1, kind = "sum"} : (tensor<4x6xf32>, tensor<4x2xi32>, tensor<4x2xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.scatter"(%{{.*}}, %arg2, %arg3) {dim = 0 : i64, kind = "set"} : (tensor<4x6xf32>, tensor<3xi32>, tensor<3x6xf32>) -> tensor<4x6xf32>
  %2 = "layout.scatter"(%1, %rows, %new) {dim = 0, kind = "set"} : (tensor<4x6xf32>, tensor<3xi32>, tensor<3x6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.scan"(%{{.*}}) {dim = 0 : i64, kind = "logaddexp"} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %3 = "layout.scan"(%2) {dim = 0, kind = "logaddexp"} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: "layout.argsort"(%{{.*}}) {descending = true, dim = 1 : i64} : (tensor<4x6xf32>) -> tensor<4x6xi32>
  %4 = "layout.argsort"(%3) {descending = true, dim = 1} : (tensor<4x6xf32>) -> tensor<4x6xi32>
  // CHECK-NEXT: "layout.arg_reduce"(%{{.*}}) {dim = 1 : i64, kind = "min"} : (tensor<4x6xi32>) -> tensor<4xi32>
  %5 = "layout.arg_reduce"(%4) {dim = 1, kind = "min"} : (tensor<4x6xi32>) -> tensor<4xi32>
  return %5 : tensor<4xi32>
}

// -----

// Ops that compute read and write floats of different types.

// CHECK-LABEL: func.func @floats_of_their_own
// CHECK-COUNT-6: f16
func.func @floats_of_their_own(%x: tensor<4x6xf32>, %w: tensor<8x6xf16>) -> tensor<4xf16> {
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<8x6xf16>) -> tensor<4x8xf16>
  %1 = "layout.softmax"(%0) {dim = 1, log = false} : (tensor<4x8xf16>) -> tensor<4x8xf32>
  %2 = "layout.elementwise"(%0, %1) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x8xf16>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %3 = "layout.reduce"(%2) {dims = array<i64: 1>, kind = "sum"} : (tensor<4x8xf32>) -> tensor<4xf16>
  return %3 : tensor<4xf16>
}
