// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-blocks{device=vulkan}' | %filecheck %s
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-blocks{device=cpu}' | %filecheck %s --check-prefix=CPU
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-blocks{device=vulkan lanes=16}' | %filecheck %s --check-prefix=LANES
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-fuse-blocks{device=vulkan tiles=2}' | %filecheck %s --check-prefix=TILES

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A convolution takes bias, activation and residual sum along; on a CPU nothing is marked.

// CHECK-LABEL: func.func @epilogue
// CHECK-NEXT: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "add"
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "relu"
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "add"
// CPU-LABEL: func.func @epilogue
// CPU-NOT: block =
func.func @epilogue(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>, %b: tensor<8x1x1xf32>) -> tensor<1x8x6x5xf32, #last> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<8x1x1xf32>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.elementwise"(%1) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %3 = "layout.elementwise"(%2, %x) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %3 : tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A value that is read twice leaves the block with its last reader inside; one that is read by another kernel ends it.

// CHECK-LABEL: func.func @two_readers
// CHECK-NEXT: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "sigmoid"
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "mul"
// CHECK-NEXT: "layout.conv"{{.*}}block = 1
// CHECK-NEXT: "layout.elementwise"(%{{.*}}) {fn = "relu"
// CHECK-NEXT: return
func.func @two_readers(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0) {fn = "sigmoid", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.elementwise"(%0, %1) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %3 = "layout.conv"(%2, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %4 = "layout.elementwise"(%3) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %3, %4 : tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A sum of the block's value and of one made from it elsewhere cannot be in the block.

// CHECK-LABEL: func.func @detour
// CHECK-NEXT: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.pool"{{.*}}block = 1
// CHECK-NEXT: "layout.elementwise"(%{{.*}}) {block = 1{{.*}}fn = "add"
func.func @detour(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.pool"(%0) {count_include_pad = false, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, kind = "max", pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.elementwise"(%0, %1) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %2 : tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// Channels that IREE cannot tile, groups of two channels, rows of a row-major image: no block.

// CHECK-LABEL: func.func @scalar_kernels
// CHECK-NOT: block =
// CHECK: return
func.func @scalar_kernels(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<6x8x3x3xf32, #kernel>, %d: tensor<8x2x3x3xf32, #kernel>, %r: tensor<1x8x6x5xf32>) -> (tensor<1x6x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<6x8x3x3xf32, #kernel>) -> tensor<1x6x6x5xf32, #last>
  %1 = "layout.conv"(%x, %d) {dilations = array<i64: 1, 1>, groups = 4, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x2x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.pool"(%r) {count_include_pad = false, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, kind = "max", pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32>
  return %0, %1, %2 : tensor<1x6x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// Groups of channels are read row-major: the block writes that order itself. So it does for the model's result. A
// view that moves elements in the logical order, too, stays a kernel of its own; one that lies channels-last reads as is.

// CHECK-LABEL: func.func @row_major_readers
// CHECK: %[[CONV:.*]] = "layout.conv"{{.*}}block = 0
// CHECK-NEXT: %[[PLAIN:.*]] = "layout.relayout"(%[[CONV]]) {block = 0{{.*}}} : {{.*}} -> tensor<1x8x6x5xf32>{{$}}
// CHECK-NEXT: "layout.view"(%[[PLAIN]])
// CHECK: "layout.conv"{{.*}}block = 1
// CHECK-NEXT: "layout.relayout"{{.*}}block = 1
// CHECK: %[[THIRD:.*]] = "layout.conv"{{.*}}block = 2
// CHECK-NEXT: "layout.view"(%[[THIRD]])
// CHECK: %[[FOURTH:.*]] = "layout.conv"{{.*}}block = 3
// CHECK-NEXT: "layout.view"(%[[FOURTH]])
func.func @row_major_readers(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> (tensor<1x2x120xf32>, tensor<1x8x6x5xf32>, tensor<6x8x1x5xf32>, tensor<1x8x30xf32, #layout.repr<array<i64: 0, 2, 1>, [], [], "buffer">>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, g, i) -> (n, g * 4 + i floordiv 30, (i mod 30) floordiv 5, i mod 5)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x2x120xf32>
  %2 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %3 = "layout.relayout"(%2) : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32>
  %4 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %5 = "layout.view"(%4) {index_map = affine_map<(h, c, n, w) -> (n, c, h, w)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<6x8x1x5xf32>
  %6 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %7 = "layout.view"(%6) {index_map = affine_map<(n, c, i) -> (n, c, i floordiv 5, i mod 5)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x30xf32, #layout.repr<array<i64: 0, 2, 1>, [], [], "buffer">>
  return %1, %3, %5, %7 : tensor<1x2x120xf32>, tensor<1x8x6x5xf32>, tensor<6x8x1x5xf32>, tensor<1x8x30xf32, #layout.repr<array<i64: 0, 2, 1>, [], [], "buffer">>
}

// -----

// Rows: a softmax or layer norm is one kernel with what follows it; on a CPU IREE sees to that itself.

// CHECK-LABEL: func.func @rows
// CHECK-NEXT: "layout.layer_norm"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0
// CHECK-NEXT: "layout.softmax"{{.*}}block = 1
// CPU-LABEL: func.func @rows
// CPU-NOT: block =
func.func @rows(%x: tensor<2x6x8xf32>, %w: tensor<8xf32>) -> tensor<2x6x8xf32> {
  %0 = "layout.layer_norm"(%x, %w) {eps = 1.0e-5 : f64, normalized_dims = 1, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<2x6x8xf32>, tensor<8xf32>) -> tensor<2x6x8xf32>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  %2 = "layout.softmax"(%1) {dim = 2, log = 0 : i1} : (tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
  return %2 : tensor<2x6x8xf32>
}

// -----

// A row that the lanes of a subgroup cannot share equally would be one lane's work: its steps stay apart.

// CHECK-LABEL: func.func @shared_rows
// CHECK-COUNT-2: block =
// CHECK: row_kernel
// CHECK: row_kernel
// LANES-LABEL: func.func @shared_rows
// LANES-NEXT: "layout.softmax"{{.*}}block = 0{{.*}}tensor<6x32xf32>
// LANES-NEXT: "layout.softmax"(%arg1) {dim = 1 : i64, log = false} : (tensor<6x49xf32>)
// LANES-NEXT: "layout.attention"{{.*}}row_kernel{{.*}}tensor<2x32x8xf32>
// LANES-NEXT: "layout.attention"
// LANES-NOT: row_kernel
func.func @shared_rows(%x: tensor<6x32xf32>, %y: tensor<6x49xf32>, %q: tensor<2x32x8xf32>, %k: tensor<2x49x8xf32>) -> (tensor<6x32xf32>, tensor<6x49xf32>, tensor<2x32x8xf32>, tensor<2x32x8xf32>) {
  %0 = "layout.softmax"(%x) {dim = 1, log = false} : (tensor<6x32xf32>) -> tensor<6x32xf32>
  %1 = "layout.softmax"(%y) {dim = 1, log = false} : (tensor<6x49xf32>) -> tensor<6x49xf32>
  %2 = "layout.attention"(%q, %q, %q) {causal = false, keys = 32 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x32x8xf32>, tensor<2x32x8xf32>, tensor<2x32x8xf32>) -> tensor<2x32x8xf32>
  %3 = "layout.attention"(%q, %k, %k) {causal = false, keys = 49 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 0.5 : f64} : (tensor<2x32x8xf32>, tensor<2x49x8xf32>, tensor<2x49x8xf32>) -> tensor<2x32x8xf32>
  return %0, %1, %2, %3 : tensor<6x32xf32>, tensor<6x49xf32>, tensor<2x32x8xf32>, tensor<2x32x8xf32>
}

// -----

// Rows that do not lie innermost, along two dims, or that are the whole tensor: a kernel for each reduction.

// CHECK-LABEL: func.func @no_rows
// CHECK-NOT: block =
func.func @no_rows(%x: tensor<6x4x8xf32>, %y: tensor<8xf32>) -> (tensor<6x4x8xf32>, tensor<6x4x8xf32>, tensor<8xf32>) {
  %0 = "layout.softmax"(%x) {dim = 1, log = 0 : i1} : (tensor<6x4x8xf32>) -> tensor<6x4x8xf32>
  %1 = "layout.layer_norm"(%x) {eps = 1.0e-5 : f64, normalized_dims = 2, operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x4x8xf32>) -> tensor<6x4x8xf32>
  %2 = "layout.softmax"(%y) {dim = 0, log = 0 : i1} : (tensor<8xf32>) -> tensor<8xf32>
  return %0, %1, %2 : tensor<6x4x8xf32>, tensor<6x4x8xf32>, tensor<8xf32>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A depthwise convolution, where its channels fill vec4 tiles.

// CHECK-LABEL: func.func @depthwise
// CHECK-NEXT: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0
func.func @depthwise(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %1 : tensor<1x8x6x5xf32, #last>
}

// -----

// Statistics of rows and what is made of them, with what makes the rows; what a sum of products can compute as it
// writes is left to it.

// CHECK-LABEL: func.func @row_chain
// CHECK-NEXT: "layout.contract"
// CHECK-NEXT: "layout.elementwise"(%{{.*}}) {fn = "relu"
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "mul"
// CHECK-NEXT: "layout.reduce"{{.*}}block = 0
// CHECK-NEXT: "layout.view"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "sqrt"
// CHECK-NEXT: "layout.reduce"{{.*}}block = 0{{.*}}kind = "max"
// CHECK-NEXT: "layout.view"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "div"
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "sub"
// CHECK-NEXT: return
// CPU-LABEL: func.func @row_chain
// CPU-NOT: block =
func.func @row_chain(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>) -> tensor<6x8xf32> {
  %0 = "layout.contract"(%x, %w) {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>]} : (tensor<6x4xf32>, tensor<4x8xf32>) -> tensor<6x8xf32>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x8xf32>) -> tensor<6x8xf32>
  %2 = "layout.elementwise"(%1, %1) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf32>, tensor<6x8xf32>) -> tensor<6x8xf32>
  %3 = "layout.reduce"(%2) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x8xf32>) -> tensor<6xf32>
  %4 = "layout.view"(%3) {index_map = affine_map<(i, j) -> (i)>} : (tensor<6xf32>) -> tensor<6x1xf32>
  %5 = "layout.elementwise"(%4) {fn = "sqrt", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x1xf32>) -> tensor<6x1xf32>
  %6 = "layout.reduce"(%1) {dims = array<i64: 1>, kind = "max"} : (tensor<6x8xf32>) -> tensor<6xf32>
  %7 = "layout.view"(%6) {index_map = affine_map<(i, j) -> (i)>} : (tensor<6xf32>) -> tensor<6x1xf32>
  %8 = "layout.elementwise"(%1, %5) {fn = "div", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf32>, tensor<6x1xf32>) -> tensor<6x8xf32>
  %9 = "layout.elementwise"(%8, %7) {fn = "sub", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x8xf32>, tensor<6x1xf32>) -> tensor<6x8xf32>
  return %9 : tensor<6x8xf32>
}

// -----

// No chain: a statistic that somebody else reads, too; one that is read along the rows; rows that lie apart; integers.

// CHECK-LABEL: func.func @no_chain
// CHECK-NOT: block =
func.func @no_chain(%x: tensor<6x6xf32>, %n: tensor<6x6xi32>) -> (tensor<6x6xf32>, tensor<6x1xf32>, tensor<6x6xf32>, tensor<6x6xf32>, tensor<6x6xi32>) {
  %0 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x6xf32>) -> tensor<6xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (i)>} : (tensor<6xf32>) -> tensor<6x1xf32>
  %2 = "layout.elementwise"(%x, %1) {fn = "sub", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x6xf32>, tensor<6x1xf32>) -> tensor<6x6xf32>
  %3 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "max"} : (tensor<6x6xf32>) -> tensor<6xf32>
  %4 = "layout.elementwise"(%x, %3) {fn = "sub", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x6xf32>, tensor<6xf32>) -> tensor<6x6xf32>
  %5 = "layout.reduce"(%x) {dims = array<i64: 0>, kind = "sum"} : (tensor<6x6xf32>) -> tensor<6xf32>
  %6 = "layout.view"(%5) {index_map = affine_map<(i, j) -> (j)>} : (tensor<6xf32>) -> tensor<1x6xf32>
  %7 = "layout.elementwise"(%x, %6) {fn = "sub", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x6xf32>, tensor<1x6xf32>) -> tensor<6x6xf32>
  %8 = "layout.reduce"(%n) {dims = array<i64: 1>, kind = "max"} : (tensor<6x6xi32>) -> tensor<6xi32>
  %9 = "layout.view"(%8) {index_map = affine_map<(i, j) -> (i)>} : (tensor<6xi32>) -> tensor<6x1xi32>
  %10 = "layout.elementwise"(%n, %9) {fn = "sub", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<6x6xi32>, tensor<6x1xi32>) -> tensor<6x6xi32>
  return %2, %1, %4, %7, %10 : tensor<6x6xf32>, tensor<6x1xf32>, tensor<6x6xf32>, tensor<6x6xf32>, tensor<6x6xi32>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A view that only calls the dims of a channels-last image something else is no end of a block; one that turns the image,
// and one behind which nothing is computed, are.

// CHECK-LABEL: func.func @relabelled
// CHECK-NEXT: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.view"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "add"
// CHECK-NEXT: "layout.conv"{{.*}}block = 1
// CHECK-NEXT: "layout.view"(%{{[0-9]+}}) {index_map
// CHECK-NEXT: "layout.elementwise"(%{{[0-9]+}}) {fn = "relu"
// CHECK-NEXT: "layout.conv"{{.*}}block = 2
// CHECK-NEXT: "layout.view"(%{{[0-9]+}}) {index_map
func.func @relabelled(%x: tensor<1x8x6x5xf32, #last>, %y: tensor<1x6x5x8xf32>, %w: tensor<8x1x3x3xf32, #kernel>) -> (tensor<1x6x5x8xf32>, tensor<1x5x6x8xf32>, tensor<1x6x5x8xf32>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, h, w, c) -> (n, c, h, w)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x6x5x8xf32>
  %2 = "layout.elementwise"(%1, %y) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x6x5x8xf32>, tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32>
  %3 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %4 = "layout.view"(%3) {index_map = affine_map<(n, w, h, c) -> (n, c, h, w)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x5x6x8xf32>
  %5 = "layout.elementwise"(%4) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x5x6x8xf32>) -> tensor<1x5x6x8xf32>
  %6 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %7 = "layout.view"(%6) {index_map = affine_map<(n, h, w, c) -> (n, c, h, w)>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x6x5x8xf32>
  return %2, %5, %7 : tensor<1x6x5x8xf32>, tensor<1x5x6x8xf32>, tensor<1x6x5x8xf32>
}

// -----

// A sum of rows that lie apart is a kernel with the functions of its result; alone it is none, nor along two dims.

// CHECK-LABEL: func.func @columns
// CHECK-NEXT: "layout.reduce"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "sqrt"
// CHECK-NOT: block =
// CPU-LABEL: func.func @columns
// CPU-NOT: block =
func.func @columns(%x: tensor<6x4x8xf32>) -> (tensor<6x8xf32>, tensor<6x8xf32>, tensor<4xf32>) {
  %0 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "sum"} : (tensor<6x4x8xf32>) -> tensor<6x8xf32>
  %1 = "layout.elementwise"(%0) {fn = "sqrt", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<6x8xf32>) -> tensor<6x8xf32>
  %2 = "layout.reduce"(%x) {dims = array<i64: 1>, kind = "max"} : (tensor<6x4x8xf32>) -> tensor<6x8xf32>
  %3 = "layout.reduce"(%x) {dims = array<i64: 0, 2>, kind = "sum"} : (tensor<6x4x8xf32>) -> tensor<4xf32>
  %4 = "layout.elementwise"(%3) {fn = "sqrt", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4xf32>) -> tensor<4xf32>
  return %1, %2, %4 : tensor<6x8xf32>, tensor<6x8xf32>, tensor<4xf32>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// What follows a second kernel may be in a first one's block already.

// CHECK-LABEL: func.func @taken
// CHECK-NEXT: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.softmax"{{.*}}block = 1
// CHECK-NEXT: "layout.view"(%{{.*}}) {index_map
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "add"
func.func @taken(%x: tensor<1x8x6x5xf32, #last>, %y: tensor<1x6x5x8xf32>, %w: tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x1x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.softmax"(%y) {dim = 3, log = false} : (tensor<1x6x5x8xf32>) -> tensor<1x6x5x8xf32>
  %2 = "layout.view"(%1) {index_map = affine_map<(n, c, h, w) -> (n, h, w, c)>} : (tensor<1x6x5x8xf32>) -> tensor<1x8x6x5xf32, #last>
  %3 = "layout.elementwise"(%0, %2) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %3 : tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// A thread's tiles bound a block: the sum of two products of its value needs three of them and one for the result, so
// with room for two the block ends before; a chain of any length needs two.

// CHECK-LABEL: func.func @registers
// CHECK-COUNT-6: block = 0
// TILES-LABEL: func.func @registers
// TILES-NEXT: "layout.conv"{{.*}}block = 0
// TILES-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "relu"
// TILES-NEXT: "layout.elementwise"{{.*}}block = 0{{.*}}fn = "tanh"
// TILES-NEXT: "layout.elementwise"{{[^{]*}}{fn = "exp"
// TILES-NOT: block =
func.func @registers(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.elementwise"(%1) {fn = "tanh", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %3 = "layout.elementwise"(%2) {fn = "exp", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %4 = "layout.elementwise"(%2) {fn = "abs", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %5 = "layout.elementwise"(%3, %4) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %5 : tensor<1x8x6x5xf32, #last>
}

// -----

#last = #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">
#kernel = #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">

// Groups of four channels are a chain of sums, with the functions of its result. Not so where the stride does not divide
// the image. The chain's loops are finer than its dims, so the relayout at the end stands by itself.

// CHECK-LABEL: func.func @groups
// CHECK: "layout.conv"{{.*}}block = 0
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 0
// CHECK-NEXT: "layout.relayout"
// CHECK-NOT: block =
// CHECK: return
// CPU-LABEL: func.func @groups
// CPU-NOT: block =
// TILES-LABEL: func.func @groups
func.func @groups(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x4x3x3xf32, #kernel>) -> (tensor<1x8x6x5xf32>, tensor<1x8x3x3xf32, #last>) {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 2, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x4x3x3xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.relayout"(%1) : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32>
  %3 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 2, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x8x6x5xf32, #last>, tensor<8x4x3x3xf32, #kernel>) -> tensor<1x8x3x3xf32, #last>
  return %2, %3 : tensor<1x8x6x5xf32>, tensor<1x8x3x3xf32, #last>
}

// A 1x1 convolution that ends in another order is a block, its sum reading a row-major image as it lies; one that keeps
// its order is left to IREE.

// CHECK-LABEL: func.func @turned_product
// CHECK-NEXT: "layout.conv"{{.*}}block = 1
// CHECK-NEXT: "layout.elementwise"{{.*}}block = 1
// CHECK-NEXT: "layout.relayout"{{.*}}block = 1
// CPU-LABEL: func.func @turned_product
// CPU-NOT: block =
func.func @turned_product(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x1x1xf32, #kernel>, %r: tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x1x1xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0, %r) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32, #last>
  %2 = "layout.relayout"(%1) : (tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32>
  return %2 : tensor<1x8x6x5xf32>
}

// CHECK-LABEL: func.func @turned_patches
// CHECK-NOT: block =
func.func @turned_patches(%x: tensor<1x8x6x4xf32, #last>, %w: tensor<8x8x2x2xf32, #kernel>) -> tensor<1x8x3x2xf32> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x8x6x4xf32, #last>, tensor<8x8x2x2xf32, #kernel>) -> tensor<1x8x3x2xf32, #last>
  %1 = "layout.relayout"(%0) : (tensor<1x8x3x2xf32, #last>) -> tensor<1x8x3x2xf32>
  return %1 : tensor<1x8x3x2xf32>
}

// CHECK-LABEL: func.func @plain_product
// CHECK-NOT: block =
func.func @plain_product(%x: tensor<1x8x6x5xf32, #last>, %w: tensor<8x8x1x1xf32, #kernel>, %r: tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #last>, tensor<8x8x1x1xf32, #kernel>) -> tensor<1x8x6x5xf32, #last>
  %1 = "layout.elementwise"(%0, %r) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #last>, tensor<1x8x6x5xf32, #last>) -> tensor<1x8x6x5xf32, #last>
  return %1 : tensor<1x8x6x5xf32, #last>
}
