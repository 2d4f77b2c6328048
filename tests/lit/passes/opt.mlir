// RUN: %smartmem-opt --list-passes | %filecheck %s --check-prefix=LIST
// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-eliminate-views,cse,smartmem-lower-to-linalg{device=cpu},func.func(canonicalize{max-iterations=2},cse)' | %filecheck %s --check-prefix=MIXED
// RUN: not %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-eliminate-vews 2>&1 | %filecheck %s --check-prefix=NAME
// RUN: not %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{devise=cpu}' 2>&1 | %filecheck %s --check-prefix=OPTION

// RUN: %smartmem-opt %s --split-input-file --print-ir-after-all --pass-pipeline='smartmem-eliminate-views,cse' 2>&1 >/dev/null | %filecheck %s --check-prefix=DUMP

// The command itself: its own passes and upstream ones in one pipeline, and what it says to mistakes.

// LIST: smartmem-eliminate-views
// LIST: smartmem-select-layouts
// LIST: smartmem-lower-to-linalg
// LIST: smartmem-verify-lowered

// NAME: unknown pass 'smartmem-eliminate-vews'. Did you mean 'smartmem-eliminate-views'?
// OPTION: smartmem-lower-to-linalg has no option 'devise'. Did you mean 'device'?

// DUMP: IR Dump After smartmem-eliminate-views
// DUMP-NEXT: module
// DUMP: @first
// DUMP: IR Dump After cse
// DUMP: @first

// MIXED-LABEL: func.func @first
// MIXED-NEXT: return %arg0
func.func @first(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (j, i)>} : (tensor<6x4xf32>) -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}

// -----

// The parts of a file are modules of their own.

// MIXED: // -----
// MIXED-LABEL: func.func @second
// MIXED: %[[SQUARE:.*]] = linalg.generic
// MIXED-NOT: linalg.generic
// MIXED: return %[[SQUARE]], %[[SQUARE]]
func.func @second(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = "layout.elementwise"(%x, %x) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = "layout.elementwise"(%x, %x) {fn = "mul", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
