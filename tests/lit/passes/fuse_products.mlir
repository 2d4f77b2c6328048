// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-products' | %filecheck %s

#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>

// Three products of one tensor and their biases are one; each reader gets its columns.

// CHECK-LABEL: func.func @stacked
// CHECK-SAME: (%[[X:.*]]: tensor<6x8xf32>)
// CHECK: %[[W:.*]] = "layout.weight"() {{{.*}}key = "q+k+v", stacked = ["q", "k", "v"], stacked_dim = 0 : i64} : () -> tensor<16x8xf32>
// CHECK-NEXT: %[[Y:.*]] = "layout.contract"(%[[X]], %[[W]]) {{.*}} -> tensor<6x16xf32>
// CHECK-NEXT: %[[B:.*]] = "layout.weight"() {{{.*}}stacked = ["qb", "kb", "vb"], {{.*}} -> tensor<16xf32>
// CHECK-NEXT: %[[Z:.*]] = "layout.elementwise"(%[[Y]], %[[B]]) {fn = "add"
// CHECK-NEXT: %[[Q:.*]] = "layout.view"(%[[Z]]) {{.*}} -> tensor<6x4xf32>
// CHECK-NEXT: %[[K:.*]] = "layout.view"(%[[Z]]) {{.*}} -> tensor<6x4xf32>
// CHECK-NEXT: %[[V:.*]] = "layout.view"(%[[Z]]) {{.*}} -> tensor<6x8xf32>
// CHECK-NEXT: "layout.attention"(%[[Q]], %[[K]], %[[V]])
func.func @stacked(%x: tensor<6x8xf32>) -> tensor<6x8xf32> {
  %wq = "layout.weight"() {encoding = #layout.dense, key = "q"} : () -> tensor<4x8xf32>
  %wk = "layout.weight"() {encoding = #layout.dense, key = "k"} : () -> tensor<4x8xf32>
  %wv = "layout.weight"() {encoding = #layout.dense, key = "v"} : () -> tensor<8x8xf32>
  %bq = "layout.weight"() {encoding = #layout.dense, key = "qb"} : () -> tensor<4xf32>
  %bk = "layout.weight"() {encoding = #layout.dense, key = "kb"} : () -> tensor<4xf32>
  %bv = "layout.weight"() {encoding = #layout.dense, key = "vb"} : () -> tensor<8xf32>
  %0 = "layout.contract"(%x, %wq) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<4x8xf32>) -> tensor<6x4xf32>
  %1 = "layout.elementwise"(%0, %bq) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x4xf32>, tensor<4xf32>) -> tensor<6x4xf32>
  %2 = "layout.contract"(%x, %wk) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<4x8xf32>) -> tensor<6x4xf32>
  %3 = "layout.elementwise"(%2, %bk) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x4xf32>, tensor<4xf32>) -> tensor<6x4xf32>
  %4 = "layout.contract"(%x, %wv) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %5 = "layout.elementwise"(%4, %bv) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf32>, tensor<8xf32>) -> tensor<6x8xf32>
  %6 = "layout.attention"(%1, %3, %5) {causal = false, keys = 6 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x8xf32>) -> tensor<6x8xf32>
  return %6 : tensor<6x8xf32>
}

// -----

#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>

// A gate that only one product takes along would be a kernel of its own: nothing is gained.

// CHECK-LABEL: func.func @gated
// CHECK-NOT: stacked
func.func @gated(%x: tensor<6x8xf32>) -> tensor<6x8xf32> {
  %wa = "layout.weight"() {encoding = #layout.dense, key = "a"} : () -> tensor<8x8xf32>
  %wb = "layout.weight"() {encoding = #layout.dense, key = "b"} : () -> tensor<8x8xf32>
  %wc = "layout.weight"() {encoding = #layout.dense, key = "c"} : () -> tensor<8x8xf32>
  %0 = "layout.contract"(%x, %wa) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %1 = "layout.contract"(%x, %wb) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %2 = "layout.elementwise"(%0) {fn = "silu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x8xf32>) -> tensor<6x8xf32>
  %3 = "layout.elementwise"(%2, %1) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf32>, tensor<6x8xf32>) -> tensor<6x8xf32>
  %4 = "layout.contract"(%3, %wc) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  return %4 : tensor<6x8xf32>
}

// -----

#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>

// Nor are products joined that leave the model, that another sum stands between, that are no whole vec4, or whose weight
// has another reader.

// CHECK-LABEL: func.func @apart
// CHECK-NOT: stacked
func.func @apart(%x: tensor<6x8xf32>) -> (tensor<6x8xf32>, tensor<6x8xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6x8xf32>, tensor<6xf32>) {
  %wa = "layout.weight"() {encoding = #layout.dense, key = "a"} : () -> tensor<8x8xf32>
  %wb = "layout.weight"() {encoding = #layout.dense, key = "b"} : () -> tensor<8x8xf32>
  %wc = "layout.weight"() {encoding = #layout.dense, key = "c"} : () -> tensor<6x8xf32>
  %wd = "layout.weight"() {encoding = #layout.dense, key = "d"} : () -> tensor<6x8xf32>
  %we = "layout.weight"() {encoding = #layout.dense, key = "e"} : () -> tensor<8x8xf32>
  %wf = "layout.weight"() {encoding = #layout.dense, key = "f"} : () -> tensor<8x8xf32>
  %0 = "layout.contract"(%x, %wa) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %1 = "layout.contract"(%x, %wb) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %2 = "layout.contract"(%x, %wc) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<6x8xf32>) -> tensor<6x6xf32>
  %3 = "layout.contract"(%x, %wd) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<6x8xf32>) -> tensor<6x6xf32>
  %4 = "layout.contract"(%x, %we) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %5 = "layout.contract"(%1, %we) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %6 = "layout.contract"(%x, %wf) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
  %7 = "layout.reduce"(%2) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x6xf32>) -> tensor<6xf32>
  %8 = "layout.reduce"(%3) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x6xf32>) -> tensor<6xf32>
  %9 = "layout.reduce"(%6) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x8xf32>) -> tensor<6xf32>
  return %0, %5, %7, %8, %4, %9 : tensor<6x8xf32>, tensor<6x8xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6x8xf32>, tensor<6xf32>
}

// -----

#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (j, k)>
#y = affine_map<(i, j, k) -> (i, j)>

// Constants and functions that follow all products alike follow the one.

// CHECK-LABEL: func.func @followed
// CHECK: %[[Y:.*]] = "layout.contract"(%arg0, %{{.*}}) {{.*}} -> tensor<6x8xf32>
// CHECK-NEXT: %[[C:.*]] = arith.constant dense<5.000000e-01>
// CHECK-NEXT: %[[S:.*]] = "layout.elementwise"(%[[Y]], %[[C]]) {fn = "mul"
// CHECK-NEXT: %[[Z:.*]] = "layout.elementwise"(%[[S]]) {fn = "relu"
// CHECK-NEXT: %[[A:.*]] = "layout.view"(%[[Z]]) {{.*}} -> tensor<6x4xf32>
// CHECK-NEXT: %[[B:.*]] = "layout.view"(%[[Z]]) {{.*}} -> tensor<6x4xf32>
// CHECK: "layout.contract"(%[[A]], %[[B]])
func.func @followed(%x: tensor<6x8xf32>) -> tensor<6x6xf32> {
  %wa = "layout.weight"() {encoding = #layout.dense, key = "a"} : () -> tensor<4x8xf32>
  %wb = "layout.weight"() {encoding = #layout.dense, key = "b"} : () -> tensor<4x8xf32>
  %0 = "layout.contract"(%x, %wa) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<4x8xf32>) -> tensor<6x4xf32>
  %1 = "layout.contract"(%x, %wb) {indexing_maps = [#x, #w, #y]} : (tensor<6x8xf32>, tensor<4x8xf32>) -> tensor<6x4xf32>
  %c = arith.constant dense<0.5> : tensor<f32>
  %d = arith.constant dense<0.5> : tensor<f32>
  %2 = "layout.elementwise"(%0, %c) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x4xf32>, tensor<f32>) -> tensor<6x4xf32>
  %3 = "layout.elementwise"(%1, %d) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x4xf32>, tensor<f32>) -> tensor<6x4xf32>
  %4 = "layout.elementwise"(%2) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x4xf32>) -> tensor<6x4xf32>
  %5 = "layout.elementwise"(%3) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x4xf32>) -> tensor<6x4xf32>
  %6 = "layout.contract"(%4, %5) {indexing_maps = [#x, #w, #y]} : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x6xf32>
  return %6 : tensor<6x6xf32>
}
