// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-select-orders | %filecheck %s

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// Groups of channels as rows want a convolution's result row-major; a residual sum reads it in any order.

// CHECK-LABEL: func.func @residual
// CHECK-NEXT: %[[CONV:.*]] = "layout.conv"(%arg0, %arg1)
// CHECK-NEXT: %[[PLAIN:.*]] = "layout.relayout"(%[[CONV]]) {{.*}} -> tensor<1x8x6x5xf32>
// CHECK-NEXT: %[[ROWS:.*]] = "layout.view"(%[[PLAIN]]) {{.*}} -> tensor<1x2x120xf32>
// CHECK-NEXT: %[[SUM:.*]] = "layout.elementwise"(%arg0, %[[PLAIN]]) {fn = "add"{{.*}} -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>
// CHECK-NEXT: return %[[ROWS]], %[[SUM]]
func.func @residual(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> (tensor<1x2x120xf32>, tensor<1x8x6x5xf32, #last>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, g, e) -> (n, g * 4 + e floordiv 30, (e mod 30) floordiv 5, e mod 5)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x2x120xf32>
  %2 = "layout.elementwise"(%x, %0) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %1, %2 : tensor<1x2x120xf32>, tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A window wants its image channels last, and a function of nothing else follows it: nothing is turned for them.

// CHECK-LABEL: func.func @window
// CHECK-NEXT: %[[CONV:.*]] = "layout.conv"(%arg0, %arg1)
// CHECK-NEXT: "layout.view"(%[[CONV]])
// CHECK-NEXT: "layout.conv"(%[[CONV]], %arg1)
// CHECK-NOT: layout.relayout
func.func @window(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> (tensor<1x2x120xf32>, tensor<1x8x6x5xf32, #last>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, g, e) -> (n, g * 4 + e floordiv 30, (e mod 30) floordiv 5, e mod 5)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x2x120xf32>
  %2 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  return %1, %2 : tensor<1x2x120xf32>, tensor<1x8x6x5xf32, #last>
}

// CHECK-LABEL: func.func @function
// CHECK-NOT: layout.relayout
func.func @function(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> (tensor<1x2x120xf32>, tensor<1x8x6x5xf32, #last>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, g, e) -> (n, g * 4 + e floordiv 30, (e mod 30) floordiv 5, e mod 5)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x2x120xf32>
  %2 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %1, %2 : tensor<1x2x120xf32>, tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A join that one kernel assembles is made row-major, and then so are its pieces.

// CHECK-LABEL: func.func @join
// CHECK: %[[PLAIN:.*]] = "layout.relayout"({{.*}} -> tensor<1x8x6x5xf32>
// CHECK-NEXT: %[[JOIN:.*]] = "layout.concat"(%[[PLAIN]], %arg0) {{.*}} -> tensor<1x16x6x5xf32>
// CHECK-NEXT: "layout.view"(%[[JOIN]])
func.func @join(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> tensor<1x2x240xf32> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.concat"(%0, %x) {assembled, dim = 1} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x16x6x5xf32, #last>
  %2 = "layout.view"(%1) {index_map = affine_map<(n, g, e) -> (n, g * 8 + e floordiv 30, (e mod 30) floordiv 5, e mod 5)>} : (tensor<1x16x6x5xf32, #last>) -> tensor<1x2x240xf32>
  return %2 : tensor<1x2x240xf32>
}
