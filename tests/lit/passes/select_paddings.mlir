// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-select-paddings | %filecheck %s

// 69 tokens are stored as 96 from the first op that can to the last: one pad, one cut, 69 keys that count.

// CHECK-LABEL: func.func @block
// CHECK: %[[X:.*]] = "layout.pad"(%arg0) {high = array<i64: 0, 27, 0>{{.*}} : (tensor<1x69x8xf32>) -> tensor<1x96x8xf32>
// CHECK: %[[N:.*]] = "layout.layer_norm"(%[[X]]{{.*}} -> tensor<1x96x8xf32>
// CHECK: %[[H:.*]] = "layout.view"(%[[N]]) {{.*}} -> tensor<1x2x96x4xf32>
// CHECK: %[[A:.*]] = "layout.attention"(%[[H]], %[[H]], %[[H]]) {causal = false, keys = 69 : i64{{.*}} -> tensor<1x2x96x4xf32>
// CHECK: %[[M:.*]] = "layout.view"(%[[A]]) {{.*}} -> tensor<1x96x8xf32>
// CHECK: %[[S:.*]] = "layout.elementwise"(%[[X]], %[[M]]) {{.*}} -> tensor<1x96x8xf32>
// CHECK: %[[Y:.*]] = "layout.view"(%[[S]]) {{.*}} : (tensor<1x96x8xf32>) -> tensor<1x69x8xf32>
// CHECK: return %[[Y]] : tensor<1x69x8xf32>
func.func @block(%x: tensor<1x69x8xf32>) -> tensor<1x69x8xf32> {
  %n = "layout.layer_norm"(%x) {eps = 1.0e-5 : f64, normalized_dims = 1 : i64, operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x69x8xf32>) -> tensor<1x69x8xf32>
  %h = "layout.view"(%n) {index_map = affine_map<(b, h, n, d) -> (b, n, h * 4 + d)>} : (tensor<1x69x8xf32>) -> tensor<1x2x69x4xf32>
  %a = "layout.attention"(%h, %h, %h) {causal = false, keys = 69 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<1x2x69x4xf32>, tensor<1x2x69x4xf32>, tensor<1x2x69x4xf32>) -> tensor<1x2x69x4xf32>
  %m = "layout.view"(%a) {index_map = affine_map<(b, n, c) -> (b, c floordiv 4, n, c mod 4)>} : (tensor<1x2x69x4xf32>) -> tensor<1x69x8xf32>
  %s = "layout.elementwise"(%x, %m) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x69x8xf32>, tensor<1x69x8xf32>) -> tensor<1x69x8xf32>
  return %s : tensor<1x69x8xf32>
}

// -----

// A view reads what is there, so the class token is taken without a cut; a mean is over what was cut.

// CHECK-LABEL: func.func @heads
// CHECK: %[[A:.*]] = "layout.attention"{{.*}} -> tensor<2x96x4xf32>
// CHECK: "layout.view"(%[[A]]) {{.*}} : (tensor<2x96x4xf32>) -> tensor<2x4xf32>
// CHECK: %[[CUT:.*]] = "layout.view"(%[[A]]) {{.*}} : (tensor<2x96x4xf32>) -> tensor<2x69x4xf32>
// CHECK: "layout.reduce"(%[[CUT]])
func.func @heads(%q: tensor<2x69x4xf32>, %k: tensor<2x69x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %a = "layout.attention"(%q, %k, %k) {causal = false, keys = 69 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x69x4xf32>, tensor<2x69x4xf32>, tensor<2x69x4xf32>) -> tensor<2x69x4xf32>
  %c = "layout.view"(%a) {index_map = affine_map<(b, d) -> (b, 0, d)>} : (tensor<2x69x4xf32>) -> tensor<2x4xf32>
  %r = "layout.reduce"(%a) {dims = array<i64: 1>, kind = "mean"} : (tensor<2x69x4xf32>) -> tensor<2x4xf32>
  return %c, %r : tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// A mask is as long as its scores, where it is not broadcast along them; a logarithm of padding would not be finite.

// CHECK-LABEL: func.func @masked
// CHECK: %[[LOG:.*]] = "layout.elementwise"(%arg0) {fn = "log"{{.*}} -> tensor<2x69x4xf32>
// CHECK: %[[K:.*]] = "layout.pad"(%[[LOG]])
// CHECK: %[[MASK:.*]] = "layout.pad"(%arg1) {{.*}} : (tensor<1x69xi1>) -> tensor<1x96xi1>
// CHECK: "layout.attention"({{.*}}, %[[K]], %[[K]], %[[MASK]])
func.func @masked(%x: tensor<2x69x4xf32>, %keep: tensor<1x69xi1>, %q: tensor<2x8x4xf32>) -> tensor<2x8x4xf32> {
  %k = "layout.elementwise"(%x) {fn = "log", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<2x69x4xf32>) -> tensor<2x69x4xf32>
  %a = "layout.attention"(%q, %k, %k, %keep) {causal = false, keys = 69 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 1>, scale = 0.5 : f64} : (tensor<2x8x4xf32>, tensor<2x69x4xf32>, tensor<2x69x4xf32>, tensor<1x69xi1>) -> tensor<2x8x4xf32>
  return %a : tensor<2x8x4xf32>
}

// -----

// A weight is not padded: positions are added before.

// CHECK-LABEL: func.func @positions
// CHECK: %[[S:.*]] = "layout.elementwise"(%arg0, %{{.*}}) {{.*}} -> tensor<69x8xf32>
// CHECK: %[[P:.*]] = "layout.pad"(%[[S]]) {{.*}} -> tensor<96x8xf32>
// CHECK: "layout.attention"(%[[P]], %[[P]], %[[P]])
func.func @positions(%x: tensor<69x8xf32>) -> tensor<69x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "positions"} : () -> tensor<69x8xf32>
  %s = "layout.elementwise"(%x, %w) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<69x8xf32>, tensor<69x8xf32>) -> tensor<69x8xf32>
  %a = "layout.attention"(%s, %s, %s) {causal = false, keys = 69 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<69x8xf32>, tensor<69x8xf32>, tensor<69x8xf32>) -> tensor<69x8xf32>
  return %a : tensor<69x8xf32>
}

// -----

// Lengths that divide by four, short ones, and those that no attention has, stay.

// CHECK-LABEL: func.func @stays
// CHECK-NOT: layout.pad
// CHECK: return
func.func @stays(%x: tensor<2x68x4xf32>, %y: tensor<2x49x4xf32>, %z: tensor<197x8xf32>) -> (tensor<2x68x4xf32>, tensor<2x49x4xf32>, tensor<197x8xf32>) {
  %0 = "layout.attention"(%x, %x, %x) {causal = false, keys = 68 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x68x4xf32>, tensor<2x68x4xf32>, tensor<2x68x4xf32>) -> tensor<2x68x4xf32>
  %1 = "layout.attention"(%y, %y, %y) {causal = false, keys = 49 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x49x4xf32>, tensor<2x49x4xf32>, tensor<2x49x4xf32>) -> tensor<2x49x4xf32>
  %2 = "layout.elementwise"(%z) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<197x8xf32>) -> tensor<197x8xf32>
  return %0, %1, %2 : tensor<2x68x4xf32>, tensor<2x49x4xf32>, tensor<197x8xf32>
}
