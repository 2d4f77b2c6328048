// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-rewrite-algebra | %filecheck %s
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-rewrite-algebra{fast_math=true}' | %filecheck %s --check-prefix=FAST

// A common factor: of floats only where rounding may change, of integers always.

// CHECK-LABEL: func.func @common_factor
// CHECK-COUNT-2: fn = "mul"{{.*}}tensor<4x6xf32>
// CHECK: fn = "add"
// CHECK: %[[SUM:.*]] = "layout.elementwise"(%arg4, %arg5) {fn = "add"
// CHECK-NEXT: "layout.elementwise"(%arg3, %[[SUM]]) {fn = "mul"
// FAST-LABEL: func.func @common_factor
// FAST-NEXT: %[[SUM:.*]] = "layout.elementwise"(%arg1, %arg2) {fn = "add"
// FAST-NEXT: "layout.elementwise"(%arg0, %[[SUM]]) {fn = "mul"
func.func @common_factor(%a: tensor<4x6xf32>, %b: tensor<4x6xf32>, %c: tensor<4x6xf32>, %i: tensor<4x6xi32>, %j: tensor<4x6xi32>, %k: tensor<4x6xi32>) -> (tensor<4x6xf32>, tensor<4x6xi32>) {
  %0 = "layout.elementwise"(%a, %b) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %1 = "layout.elementwise"(%c, %a) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = "layout.elementwise"(%0, %1) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %3 = "layout.elementwise"(%i, %j) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xi32>, tensor<4x6xi32>) -> tensor<4x6xi32>
  %4 = "layout.elementwise"(%k, %i) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xi32>, tensor<4x6xi32>) -> tensor<4x6xi32>
  %5 = "layout.elementwise"(%3, %4) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xi32>, tensor<4x6xi32>) -> tensor<4x6xi32>
  return %2, %5 : tensor<4x6xf32>, tensor<4x6xi32>
}

// -----

// Signs that cancel, exactly; where one of the two is read by others, too, nothing would be saved.

// CHECK-LABEL: func.func @signs
// CHECK-NEXT: %[[PRODUCT:.*]] = "layout.elementwise"(%arg0, %arg1) {fn = "mul"
// CHECK-NEXT: %[[ABS:.*]] = "layout.elementwise"(%[[PRODUCT]]) {fn = "abs"
// CHECK-NEXT: %[[C:.*]] = "layout.elementwise"(%arg2) {fn = "abs"
// CHECK-NEXT: %[[D:.*]] = "layout.elementwise"(%arg3) {fn = "abs"
// CHECK-NEXT: %[[KEPT:.*]] = "layout.elementwise"(%[[C]], %[[D]]) {fn = "mul"
// CHECK-NEXT: return %[[ABS]], %[[KEPT]], %[[C]]
func.func @signs(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>, %d: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %n = "layout.elementwise"(%a) {fn = "neg", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf32>
  %0 = "layout.elementwise"(%n) {fn = "abs", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "layout.elementwise"(%b) {fn = "abs", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf32>
  %2 = "layout.elementwise"(%0, %1) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = "layout.elementwise"(%c) {fn = "abs", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf32>
  %4 = "layout.elementwise"(%d) {fn = "abs", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf32>
  %5 = "layout.elementwise"(%3, %4) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %2, %5, %3 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// Equal ops become one, constants and views among them; what differs in an attribute stays apart.

// CHECK-LABEL: func.func @equal
// CHECK: %[[V:.*]] = "layout.view"(%arg0)
// CHECK-NEXT: %[[E:.*]] = "layout.elementwise"(%[[V]], %{{.*}}) {fn = "mul"
// CHECK-NEXT: %[[R:.*]] = "layout.reduce"(%[[E]]) {{.*}}kind = "sum"
// CHECK-NEXT: %[[P:.*]] = "layout.reduce"(%[[E]]) {{.*}}kind = "max"
// CHECK-NEXT: return %[[R]], %[[R]], %[[P]]
func.func @equal(%x: tensor<4x6xf32>) -> (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) {
  %half = arith.constant dense<0.5> : tensor<f32>
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>, move = 0} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.elementwise"(%0, %half) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x4xf32>, tensor<f32>) -> tensor<6x4xf32>
  %2 = "layout.reduce"(%1) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x4xf32>) -> tensor<6xf32>
  %again = arith.constant dense<0.5> : tensor<f32>
  %3 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>, move = 1} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %4 = "layout.elementwise"(%3, %again) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x4xf32>, tensor<f32>) -> tensor<6x4xf32>
  %5 = "layout.reduce"(%4) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x4xf32>) -> tensor<6xf32>
  %6 = "layout.reduce"(%4) {dims = array<i64: 1>, kind = "max"} : (tensor<6x4xf32>) -> tensor<6xf32>
  return %2, %5, %6 : tensor<6xf32>, tensor<6xf32>, tensor<6xf32>
}

// -----

// A contraction less. With two readers of one of the products there would still be two.

#row = affine_map<(m, n, k) -> (m, k)>
#column = affine_map<(m, n, k) -> (n, k)>
#result = affine_map<(m, n, k) -> (m, n)>

// CHECK-LABEL: func.func @products
// CHECK-COUNT-3: "layout.contract"
// FAST-LABEL: func.func @products
// FAST-NEXT: %[[SUM:.*]] = "layout.elementwise"(%arg1, %arg2) {fn = "sub"
// FAST-NEXT: %[[ONE:.*]] = "layout.contract"(%arg0, %[[SUM]])
// FAST-NEXT: %[[TWO:.*]] = "layout.contract"(%arg3, %arg1)
// FAST-NEXT: %[[THREE:.*]] = "layout.contract"(%arg3, %arg2)
// FAST-NEXT: %[[ADDED:.*]] = "layout.elementwise"(%[[TWO]], %[[THREE]]) {fn = "add"
// FAST-NEXT: return %[[ONE]], %[[TWO]], %[[ADDED]]
func.func @products(%x: tensor<8x5xf32>, %v: tensor<6x5xf32>, %w: tensor<6x5xf32>, %y: tensor<8x5xf32>) -> (tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>) {
  %0 = "layout.contract"(%x, %v) {indexing_maps = [#row, #column, #result]} : (tensor<8x5xf32>, tensor<6x5xf32>) -> tensor<8x6xf32>
  %1 = "layout.contract"(%x, %w) {indexing_maps = [#row, #column, #result]} : (tensor<8x5xf32>, tensor<6x5xf32>) -> tensor<8x6xf32>
  %2 = "layout.elementwise"(%0, %1) {fn = "sub", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  %3 = "layout.contract"(%y, %v) {indexing_maps = [#row, #column, #result]} : (tensor<8x5xf32>, tensor<6x5xf32>) -> tensor<8x6xf32>
  %4 = "layout.contract"(%y, %w) {indexing_maps = [#row, #column, #result]} : (tensor<8x5xf32>, tensor<6x5xf32>) -> tensor<8x6xf32>
  %5 = "layout.elementwise"(%3, %4) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<8x6xf32>
  return %2, %3, %5 : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8x6xf32>
}

// -----

// A factor that does not vary along the sum is multiplied behind it; one that does stays inside. Constants are combined.

// FAST-LABEL: func.func @sums
// FAST-NEXT: %[[SUM:.*]] = "layout.reduce"(%arg0)
// FAST-NEXT: %[[R:.*]] = "layout.view"(%arg1)
// FAST-NEXT: %[[SCALED:.*]] = "layout.elementwise"(%[[SUM]], %[[R]]) {fn = "mul"
// FAST-NEXT: %[[INSIDE:.*]] = "layout.elementwise"(%arg0, %arg2) {fn = "mul"
// FAST-NEXT: %[[OTHER:.*]] = "layout.reduce"(%[[INSIDE]])
// FAST-NEXT: %[[K:.*]] = arith.constant dense<6.000000e+00>
// FAST-NEXT: %[[K6:.*]] = "layout.elementwise"(%[[OTHER]], %[[K]]) {fn = "mul"
// FAST-NEXT: return %[[SCALED]], %[[K6]]
func.func @sums(%x: tensor<4x6xf32>, %r: tensor<4x1xf32>, %c: tensor<6xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %two = arith.constant dense<2.0> : tensor<f32>
  %three = arith.constant dense<3.0> : tensor<f32>
  %0 = "layout.elementwise"(%x, %r) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x1xf32>) -> tensor<4x6xf32>
  %1 = "layout.reduce"(%0) {dims = array<i64: 1>, kind = "sum"} : (tensor<4x6xf32>) -> tensor<4xf32>
  %2 = "layout.elementwise"(%x, %c) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %3 = "layout.reduce"(%2) {dims = array<i64: 1>, kind = "sum"} : (tensor<4x6xf32>) -> tensor<4xf32>
  %4 = "layout.elementwise"(%3, %two) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %5 = "layout.elementwise"(%4, %three) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %1, %5 : tensor<4xf32>, tensor<4xf32>
}

// -----

// A square root of a square is the absolute value, unless the square overflows: not without fast math. Two biases of
// the model are not added by a kernel of their own.

// CHECK-LABEL: func.func @assumed
// CHECK: fn = "sqrt"
// FAST-LABEL: func.func @assumed
// FAST-NEXT: %[[ABS:.*]] = "layout.elementwise"(%arg0) {fn = "abs"
// FAST-NEXT: %[[FIRST:.*]] = "layout.elementwise"(%[[ABS]], %arg1) {fn = "add"
// FAST-NEXT: "layout.elementwise"(%[[FIRST]], %arg2) {fn = "add"
func.func @assumed(%x: tensor<4x6xf32>, %b: tensor<6xf32>, %c: tensor<6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.elementwise"(%x, %x) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  %1 = "layout.elementwise"(%0) {fn = "sqrt", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = "layout.elementwise"(%1, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %3 = "layout.elementwise"(%2, %c) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  return %3 : tensor<4x6xf32>
}

// -----

// A function of repeated elements is computed before they are repeated, in the kernel that makes them; of an argument it
// would take a kernel of its own.

// CHECK-LABEL: func.func @repeated
// CHECK: %[[SUM:.*]] = "layout.reduce"(%arg0)
// CHECK-NEXT: %[[EXP:.*]] = "layout.elementwise"(%[[SUM]]) {fn = "exp"{{.*}}tensor<4xf32>
// CHECK-NEXT: %[[ALL:.*]] = "layout.view"(%[[EXP]])
// CHECK-NEXT: %[[REPEATED:.*]] = "layout.view"(%arg1)
// CHECK-NEXT: %[[LATE:.*]] = "layout.elementwise"(%[[REPEATED]]) {fn = "exp"{{.*}}tensor<4x6xf32>
// CHECK-NEXT: return %[[ALL]], %[[LATE]]
func.func @repeated(%x: tensor<4x6xf32>, %y: tensor<4xf32>) -> (tensor<4x6xf32>, tensor<4x6xf32>) {
  %0 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "sum"} : (tensor<4x6xf32>) -> tensor<4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i)>} : (tensor<4xf32>) -> tensor<4x6xf32>
  %2 = "layout.elementwise"(%1) {fn = "exp", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %3 = "layout.view"(%y) {index_map = affine_map<(i, j) -> (i)>} : (tensor<4xf32>) -> tensor<4x6xf32>
  %4 = "layout.elementwise"(%3) {fn = "exp", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %2, %4 : tensor<4x6xf32>, tensor<4x6xf32>
}
