// RUN: %smartmem-opt %s --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s
// RUN: %smartmem-opt %s --pass-pipeline='smartmem-lower-to-linalg{device=cpu},canonicalize,cse' | %filecheck %s --check-prefix=CPU

// On Vulkan the producer of a tensor that is padded at the start of its innermost axis is fenced off: IREE would store
// it at a rounded-down column. Other pads, and other devices, need no fence.

// CHECK-LABEL: func.func @rows
// CHECK: %[[FENCED:.*]] = "util.optimization_barrier"
// CHECK-NEXT: tensor.pad %[[FENCED]]
// CPU-LABEL: func.func @rows
// CPU-NOT: util.optimization_barrier
// CPU: tensor.pad
func.func @rows(%x: tensor<4x6xf32>) -> tensor<4x8xf32> {
  %0 = "layout.elementwise"(%x) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %1 = "layout.pad"(%0) {low = array<i64: 0, 1>, high = array<i64: 0, 1>, value = 0.5 : f32} : (tensor<4x6xf32>) -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @end_of_rows
// CHECK-NOT: util.optimization_barrier
// CHECK: tensor.pad
// CPU-LABEL: func.func @end_of_rows
// CPU-NOT: util.optimization_barrier
// CPU: tensor.pad
func.func @end_of_rows(%x: tensor<4x6xf32>) -> tensor<5x8xf32> {
  %0 = "layout.elementwise"(%x) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %1 = "layout.pad"(%0) {low = array<i64: 1, 0>, high = array<i64: 0, 2>, value = 0.5 : f32} : (tensor<4x6xf32>) -> tensor<5x8xf32>
  return %1 : tensor<5x8xf32>
}

// CHECK-LABEL: func.func @row_major_conv
// CHECK: %[[FENCED:.*]] = "util.optimization_barrier"
// CHECK-NEXT: tensor.pad %[[FENCED]]
// CPU-LABEL: func.func @row_major_conv
// CPU-NOT: util.optimization_barrier
// CPU: tensor.pad
func.func @row_major_conv(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32> {
  %0 = "layout.elementwise"(%x) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32>
  %1 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  return %1 : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @channels_last_conv
// CHECK-NOT: util.optimization_barrier
// CHECK: tensor.pad
// CPU-LABEL: func.func @channels_last_conv
// CPU-NOT: util.optimization_barrier
// CPU: tensor.pad
func.func @channels_last_conv(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32> {
  %0 = "layout.relayout"(%x) : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
  %1 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  return %1 : tensor<1x4x8x8xf32>
}

// CHECK-LABEL: func.func @row_major_pool
// CHECK: %[[FENCED:.*]] = "util.optimization_barrier"
// CHECK-NEXT: tensor.pad %[[FENCED]]
// CPU-LABEL: func.func @row_major_pool
// CPU-NOT: util.optimization_barrier
// CPU: tensor.pad
func.func @row_major_pool(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x4x4xf32> {
  %0 = "layout.elementwise"(%x) {fn = "relu", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32>
  %1 = "layout.pool"(%0) {count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 3, 3>, kind = "max", pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x3x8x8xf32>) -> tensor<1x3x4x4xf32>
  return %1 : tensor<1x3x4x4xf32>
}

// Where a dim has one window only, what that does not reach is not padded, or cut off.

// CHECK-LABEL: func.func @one_window
// CHECK: tensor.pad %{{.*}} low[0, 0, 1, 1] high[0, 0, 0, 0]
// CHECK: tensor.extract_slice %{{.*}}[0, 0, 0, 0] [1, 3, 3, 3]
// CPU-LABEL: func.func @one_window
// CPU: tensor.pad %{{.*}} low[0, 0, 1, 1] high[0, 0, 0, 0]
// CPU: tensor.extract_slice %{{.*}}[0, 0, 0, 0] [1, 3, 3, 3]
func.func @one_window(%x: tensor<1x3x2x4xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x1x1xf32> {
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 0>, pad_low = array<i64: 1, 1>, strides = array<i64: 2, 4>} : (tensor<1x3x2x4xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x1x1xf32>
  return %0 : tensor<1x4x1x1xf32>
}
