// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-select-precision | %filecheck %s

// A weight is rounded; what one kernel makes and reads is not, nor are input and output. No op is
// added.

// CHECK-LABEL: func.func @two_layers
// CHECK-NEXT: %[[A:.*]] = "layout.weight"() {{.*}}key = "a", rounded} : () -> tensor<64x8xf16>
// CHECK-NEXT: %[[B:.*]] = "layout.weight"() {{.*}}key = "b", rounded} : () -> tensor<8x64xf16>
// CHECK-NEXT: %[[C:.*]] = "layout.contract"(%arg0, %[[A]]) {float32 = "read in the kernel that makes it", {{.*}} : (tensor<4x8xf32>, tensor<64x8xf16>) -> tensor<4x64xf32>
// CHECK-NEXT: %[[G:.*]] = "layout.elementwise"(%[[C]]) {{.*}} : (tensor<4x64xf32>) -> tensor<4x64xf16>
// CHECK-NEXT: %[[D:.*]] = "layout.contract"(%[[G]], %[[B]]) {{.*}}float32 = "an output of the model"{{.*}} : (tensor<4x64xf16>, tensor<8x64xf16>) -> tensor<4x8xf32>
// CHECK-NEXT: return %[[D]]
func.func @two_layers(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %a = "layout.weight"() {key = "a", encoding = #layout.dense} : () -> tensor<64x8xf32>
  %b = "layout.weight"() {key = "b", encoding = #layout.dense} : () -> tensor<8x64xf32>
  %0 = "layout.contract"(%x, %a) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x8xf32>, tensor<64x8xf32>) -> tensor<4x64xf32>
  %1 = "layout.elementwise"(%0) {fn = "gelu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x64xf32>) -> tensor<4x64xf32>
  %2 = "layout.contract"(%1, %b) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x64xf32>, tensor<8x64xf32>) -> tensor<4x8xf32>
  return %2 : tensor<4x8xf32>
}

// -----

// The exponents of a softmax keep their digits, back to the product that makes them; its result is
// rounded. A large constant on the way stays what it is.

// CHECK-LABEL: func.func @masked
// CHECK: %[[S:.*]] = "layout.contract"(%arg0, %{{.*}}) {{.*}} : (tensor<4x8xf32>, tensor<64x8xf16>) -> tensor<4x64xf32>
// CHECK: %[[W:.*]] = "layout.elementwise"(%arg1, %[[S]], %{{.*}}) {{.*}}float32 = "may be out of range: a constant with values up to 1e+09"{{.*}} -> tensor<4x64xf32>
// CHECK: "layout.softmax"(%[[W]]) {{.*}} : (tensor<4x64xf32>) -> tensor<4x64xf16>
func.func @masked(%x: tensor<4x8xf32>, %m: tensor<4x64xi1>, %v: tensor<64x8xf32>) -> tensor<4x8xf32> {
  %a = "layout.weight"() {key = "a", encoding = #layout.dense} : () -> tensor<64x8xf32>
  %low = arith.constant dense<-1.0e9> : tensor<f32>
  %0 = "layout.contract"(%x, %a) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x8xf32>, tensor<64x8xf32>) -> tensor<4x64xf32>
  %1 = "layout.elementwise"(%m, %0, %low) {fn = "where", operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<4x64xi1>, tensor<4x64xf32>, tensor<f32>) -> tensor<4x64xf32>
  %2 = "layout.softmax"(%1) {dim = 1, log = false} : (tensor<4x64xf32>) -> tensor<4x64xf32>
  %3 = "layout.contract"(%2, %v) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x64xf32>, tensor<64x8xf32>) -> tensor<4x8xf32>
  return %3 : tensor<4x8xf32>
}

// -----

// Angles: positions, frequencies and what is made of them keep all digits; the sine is rounded.

// CHECK-LABEL: func.func @positions
// CHECK: %[[F:.*]] = "layout.weight"() {{.*}}float32 = "all digits count: the operand of sin", key = "frequencies"} : () -> tensor<64xf32>
// CHECK: %[[P:.*]] = "layout.elementwise"(%arg0) {{.*}}float32 = "may be out of range: a number made of an integer"{{.*}} -> tensor<4x1xf32>
// CHECK: %[[A:.*]] = "layout.elementwise"(%[[P]], %[[F]]) {{.*}} -> tensor<4x64xf32>
// CHECK: %[[S:.*]] = "layout.elementwise"(%[[A]]) {{.*}} : (tensor<4x64xf32>) -> tensor<4x64xf16>
// CHECK: "layout.concat"(%[[S]], %[[S]]) {{.*}} -> tensor<4x128xf16>
func.func @positions(%i: tensor<4x1xi32>, %y: tensor<128x8xf32>) -> tensor<4x8xf32> {
  %f = "layout.weight"() {key = "frequencies", encoding = #layout.dense} : () -> tensor<64xf32>
  %0 = "layout.elementwise"(%i) {fn = "cast", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x1xi32>) -> tensor<4x1xf32>
  %1 = "layout.elementwise"(%0, %f) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x1xf32>, tensor<64xf32>) -> tensor<4x64xf32>
  %2 = "layout.elementwise"(%1) {fn = "sin", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x64xf32>) -> tensor<4x64xf32>
  %3 = "layout.concat"(%2, %2) {dim = 1} : (tensor<4x64xf32>, tensor<4x64xf32>) -> tensor<4x128xf32>
  %4 = "layout.contract"(%3, %y) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x128xf32>, tensor<128x8xf32>) -> tensor<4x8xf32>
  return %4 : tensor<4x8xf32>
}

// -----

// A pad's value is of its tensor's type; a constant that is a half anyway lets its op be computed
// in half. What shows an input stays float32.

// CHECK-LABEL: func.func @moved
// CHECK: %[[H:.*]] = arith.constant dense<5.000000e-01> : tensor<f16>
// CHECK: "layout.pad"(%arg0) {{.*}} : (tensor<4x8xf32>) -> tensor<4x9xf32>
// CHECK: %[[P:.*]] = "layout.pad"(%{{.*}}) {{.*}}value = 0.000000e+00 : f16} : (tensor<4x8xf16>) -> tensor<4x9xf16>
// CHECK: "layout.elementwise"(%[[P]], %[[H]]) {{.*}} : (tensor<4x9xf16>, tensor<f16>) -> tensor<4x9xf16>
func.func @moved(%x: tensor<4x8xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %h = arith.constant dense<0.5> : tensor<f32>
  %p = "layout.pad"(%x) {high = array<i64: 0, 1>, low = array<i64: 0, 0>, value = 0.0 : f32} : (tensor<4x8xf32>) -> tensor<4x9xf32>
  %0 = "layout.elementwise"(%x) {fn = "tanh", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = "layout.pad"(%0) {high = array<i64: 0, 1>, low = array<i64: 0, 0>, value = 0.0 : f32} : (tensor<4x8xf32>) -> tensor<4x9xf32>
  %2 = "layout.elementwise"(%1, %h) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x9xf32>, tensor<f32>) -> tensor<4x9xf32>
  %3 = "layout.contract"(%2, %p) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x9xf32>, tensor<4x9xf32>) -> tensor<4x4xf32>
  %4 = "layout.contract"(%2, %2) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x9xf32>, tensor<4x9xf32>) -> tensor<4x4xf32>
  return %3, %4 : tensor<4x4xf32>, tensor<4x4xf32>
}
