// RUN: %smartmem-opt %s --pass-pipeline='smartmem-fuse-blocks{device=vulkan},smartmem-lower-to-linalg{device=vulkan}' | %filecheck %s
// RUN: %smartmem-opt %s --pass-pipeline='smartmem-fuse-blocks{device=cpu},smartmem-lower-to-linalg{device=cpu}' | %filecheck %s --check-prefix=CPU

// A block is one dispatch region: the border is padded inside it, and the bias' reshape stands before it. A CPU reads a
// padded copy.

// CHECK-LABEL: func.func @main
// CHECK-NOT: tensor.pad
// CHECK: %[[BIAS:.*]] = tensor.collapse_shape %arg2
// CHECK: %[[CONV:.*]] = "flow.dispatch.region"() ({
// CHECK: %[[PADDED:.*]] = tensor.pad
// CHECK: linalg.conv_2d_nhwc_hwcf {{.*}} ins(%[[PADDED]]
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %[[BIAS]]
// CHECK: "flow.return"
// CHECK: %[[POOL:.*]] = "flow.dispatch.region"() ({
// CHECK: %[[BORDERED:.*]] = tensor.pad %[[CONV]]
// CHECK: linalg.pooling_nhwc_max {{.*}} ins(%[[BORDERED]]
// CHECK: "flow.return"
// CPU-LABEL: func.func @main
// CPU-NOT: flow.dispatch.region
// CPU: tensor.pad
// CPU: linalg.conv_2d_nhwc_hwcf
// CPU: tensor.pad
// CPU-NOT: linalg.pooling_nhwc_max
func.func @main(%x: tensor<1x8x6x5xf32>, %w: tensor<8x8x3x3xf32>, %b: tensor<8x1x1xf32>) -> tensor<1x8x6x5xf32> {
  %l = "layout.relayout"(%x) : (tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %k = "layout.relayout"(%w) : (tensor<8x8x3x3xf32>) -> tensor<8x8x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
  %0 = "layout.conv"(%l, %k) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<8x8x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.elementwise"(%0, %b) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<8x1x1xf32>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %p = "layout.pool"(%1) {count_include_pad = false, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, kind = "max", pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %r = "layout.relayout"(%p) : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x8x6x5xf32>
  return %r : tensor<1x8x6x5xf32>
}

// A depthwise convolution is the named op in its block, with its kernel as [window, C]; else a generic.

// CHECK-LABEL: func.func @depthwise
// CHECK: tensor.collapse_shape {{.*}} : tensor<3x3x1x8xf32> into tensor<3x3x8xf32>
// CHECK: "flow.dispatch.region"() ({
// CHECK: tensor.pad
// CHECK: linalg.depthwise_conv_2d_nhwc_hwc
// CHECK: "flow.return"
// CPU-LABEL: func.func @depthwise
// CPU-NOT: linalg.depthwise
func.func @depthwise(%x: tensor<1x8x6x5xf32>, %w: tensor<8x1x3x3xf32>) -> tensor<1x8x6x5xf32> {
  %l = "layout.relayout"(%x) : (tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %k = "layout.relayout"(%w) : (tensor<8x1x3x3xf32>) -> tensor<8x1x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
  %0 = "layout.conv"(%l, %k) {dilations = array<i64: 1, 1>, groups = 8, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<8x1x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.relayout"(%0) : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x8x6x5xf32>
  return %1 : tensor<1x8x6x5xf32>
}

// A log-softmax that is one kernel computes its differences where they are summed and where they are the result:
// a kernel that kept them would hold whole rows in shared memory.

// CHECK-LABEL: func.func @log_softmax
// CHECK: "flow.dispatch.region"() ({
// CHECK: arith.maximumf
// CHECK: linalg.generic
// CHECK: arith.subf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: linalg.generic
// CHECK: arith.subf
// CHECK: math.log
// CHECK: arith.subf
// CHECK-NOT: linalg.generic
// CHECK: "flow.return"
// CPU-LABEL: func.func @log_softmax
// CPU-NOT: flow.dispatch.region
func.func @log_softmax(%x: tensor<6x4x8xf32>) -> tensor<6x4x8xf32> {
  %0 = "layout.softmax"(%x) {dim = 2, log = true} : (tensor<6x4x8xf32>) -> tensor<6x4x8xf32>
  return %0 : tensor<6x4x8xf32>
}

// A grouped one is a chain of sums, one for each tap. What a tap of stride 2 reads is every other row and column, the
// first of them a border; the reshape of the result stands behind the kernel.

// CHECK-LABEL: func.func @grouped
// CHECK: %[[X:.*]] = tensor.expand_shape {{.*}} into tensor<1x3x2x2x2x2x4xf32>
// CHECK: %[[MADE:.*]] = "flow.dispatch.region"() ({
// CHECK: %[[FIRST:.*]] = tensor.extract_slice %[[X]][0, 0, 1, 0, 1, 0, 0] [1, 2, 1, 1, 1, 2, 4]
// CHECK: tensor.pad %[[FIRST]] low[0, 1, 1, 0, 0] high[0, 0, 0, 0, 0]
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} outs({{.*}} : tensor<1x3x2x2x4xf32>)
// CHECK: linalg.generic {{.*}} outs(%[[SUM]] : tensor<1x3x2x2x4xf32>)
// CHECK-COUNT-7: linalg.generic
// CHECK: linalg.generic
// CHECK: arith.maximumf
// CHECK: "flow.return"
// CHECK: tensor.collapse_shape %[[MADE]] {{.*}} into tensor<1x3x2x8xf32>
// CPU-LABEL: func.func @grouped
// CPU-NOT: flow.dispatch.region
func.func @grouped(%x: tensor<1x8x6x4xf32>, %w: tensor<8x4x3x3xf32>) -> tensor<1x8x3x2xf32> {
  %l = "layout.relayout"(%x) : (tensor<1x8x6x4xf32>) -> tensor<1x8x6x4xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %k = "layout.relayout"(%w) : (tensor<8x4x3x3xf32>) -> tensor<8x4x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
  %0 = "layout.conv"(%l, %k) {dilations = array<i64: 1, 1>, groups = 2, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x8x6x4xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<8x4x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>) -> tensor<1x8x3x2xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.elementwise"(%0) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x3x2xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x8x3x2xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %2 = "layout.relayout"(%1) : (tensor<1x8x3x2xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x8x3x2xf32>
  return %2 : tensor<1x8x3x2xf32>
}

// In the block of a product every loop is one of the product's: the reshapes to the image stand outside.

// CHECK-LABEL: func.func @product
// CHECK: %[[RESIDUAL:.*]] = tensor.collapse_shape %arg2 {{.*}} : tensor<1x8x6x5xf32> into tensor<8x30xf32>
// CHECK: %[[KERNEL:.*]] = "flow.dispatch.region"() ({
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins({{.*}} : tensor<30x8xf32>, tensor<8x8xf32>)
// CHECK-NOT: tensor.pad
// CHECK: linalg.generic {{.*}} ins({{.*}}%[[RESIDUAL]] : tensor<30x8xf32>, tensor<8x30xf32>)
// CHECK: "flow.return"({{.*}}) : (tensor<8x30xf32>) -> ()
// CHECK: tensor.expand_shape %[[KERNEL]] {{.*}} : tensor<8x30xf32> into tensor<1x8x6x5xf32>
// CPU-LABEL: func.func @product
// CPU-NOT: flow.dispatch.region
func.func @product(%x: tensor<1x8x6x5xf32>, %w: tensor<8x8x1x1xf32>, %r: tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32> {
  %l = "layout.relayout"(%x) : (tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %k = "layout.relayout"(%w) : (tensor<8x8x1x1xf32>) -> tensor<8x8x1x1xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
  %0 = "layout.conv"(%l, %k) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<8x8x1x1xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.elementwise"(%0, %r) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<1x8x6x5xf32>) -> tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %2 = "layout.relayout"(%1) : (tensor<1x8x6x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>) -> tensor<1x8x6x5xf32>
  return %2 : tensor<1x8x6x5xf32>
}
