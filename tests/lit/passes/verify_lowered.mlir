// RUN: not %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-verify-lowered 2>&1 | %filecheck %s

// Every leftover is named at once, with its place in the model.

// CHECK: the layout dialect was not lowered completely:
// CHECK-NEXT: layout.weight at loc("encoder.fc"("model.py":12:0))
// CHECK-NEXT: layout.view at loc("model.py":13:0)
// CHECK-NOT: tensor.empty
func.func @ops(%x: tensor<4x6xf32>) -> tensor<6x4xf32> {
  %0 = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x6xf32> loc("encoder.fc"("model.py":12:0))
  %1 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x6xf32>) -> tensor<6x4xf32> loc("model.py":13:0)
  %2 = tensor.empty() : tensor<6x4xf32>
  return %1 : tensor<6x4xf32>
}

// -----

// An encoding on an upstream op's result, or on an argument, is a leftover too.

// CHECK: the layout dialect was not lowered completely:
// CHECK-NEXT: func.func tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">> at
// CHECK-NEXT: arith.addf tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">> at
func.func @encodings(%x: tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>) {
  %0 = arith.addf %x, %x : tensor<4x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
  return
}

// -----

// A lowered module passes unchanged.

// CHECK-LABEL: func.func @lowered
// CHECK-NEXT: tensor.empty
func.func @lowered() -> tensor<4x6xf32> {
  %0 = tensor.empty() : tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}
