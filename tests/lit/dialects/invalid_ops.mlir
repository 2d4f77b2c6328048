// RUN: not %smartmem-opt %s --split-input-file 2>&1 | %filecheck %s

// What each verifier refuses, and the sentence it says.

// CHECK: error: {{.*}}unregistered operation 'layout.transpose'
func.func @unknown_op(%x: tensor<4x6xf32>) {
  %0 = "layout.transpose"(%x) : (tensor<4x6xf32>) -> tensor<6x4xf32>
  return
}

// -----

// CHECK: error: {{.*}}'layout.view' op attribute "index_map" is expected but not provided
func.func @missing_attribute(%x: tensor<4x6xf32>) {
  %0 = "layout.view"(%x) : (tensor<4x6xf32>) -> tensor<6x4xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.view: d0 over [6, 6] reads 0..5, outside source dim 0 of size 4
func.func @map_that_leaves_its_source(%x: tensor<4x6xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<4x6xf32>) -> tensor<6x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.view: index map takes 1 dims to 2, the tensors have ranks 2 and 2
func.func @map_of_the_wrong_rank(%x: tensor<4x6xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i) -> (i, 0)>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.view: an index map has no symbols
func.func @map_with_symbols(%x: tensor<4x6xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j)[s] -> (i, j mod s)>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.view: result has element type f16, expected f32
func.func @view_of_another_element_type(%x: tensor<4x6xf32>) {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (i, j)>} : (tensor<4x6xf32>) -> tensor<4x6xf16>
  return
}

// -----

// CHECK: error: {{.*}}layout.relayout: result is (6, 4), expected (4, 6)
func.func @relayout_that_reshapes(%x: tensor<4x6xf32>) {
  %0 = "layout.relayout"(%x) : (tensor<4x6xf32>) -> tensor<6x4xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.weight: key is empty
func.func @weight_without_a_key() {
  %0 = "layout.weight"() {encoding = #layout.dense, key = ""} : () -> tensor<4xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.weight: dynamic shapes are not part of the layout dialect
func.func @dynamic_shape() {
  %0 = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<?xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.pad: pad amounts are never negative: crop with layout.view
func.func @crop_by_pad(%x: tensor<4x6xf32>) {
  %0 = "layout.pad"(%x) {low = array<i64: 0, -1>, high = array<i64: 0, 0>, value = 0.0 : f32} : (tensor<4x6xf32>) -> tensor<4x5xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.pad: value 0 : i32 is no f32
func.func @fill_of_another_type(%x: tensor<4x6xf32>) {
  %0 = "layout.pad"(%x) {low = array<i64: 0, 1>, high = array<i64: 0, 0>, value = 0 : i32} : (tensor<4x6xf32>) -> tensor<4x7xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.concat: shapes [(4, 6), (6, 4)] differ outside dim 0
func.func @concat_of_shapes_that_differ(%x: tensor<4x6xf32>, %t: tensor<6x4xf32>) {
  %0 = "layout.concat"(%x, %t) {dim = 0} : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<10x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.concat: operands have different element types ['f32', 'i32']
func.func @concat_of_element_types_that_differ(%x: tensor<4x6xf32>, %i: tensor<4x6xi32>) {
  %0 = "layout.concat"(%x, %i) {dim = 0} : (tensor<4x6xf32>, tensor<4x6xi32>) -> tensor<8x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.gather: indices are f32, expected integers
func.func @gather_by_floats(%x: tensor<4x6xf32>) {
  %0 = "layout.gather"(%x, %x) {dim = 0} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.elementwise: fn 'gelus' is not one of abs, neg
func.func @unknown_function(%x: tensor<4x6xf32>) {
  %0 = "layout.elementwise"(%x) {fn = "gelus", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.elementwise: add takes 2 operands, got 1
func.func @function_of_another_arity(%x: tensor<4x6xf32>) {
  %0 = "layout.elementwise"(%x) {fn = "add", operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.elementwise: shapes [(4, 6), (6, 4)] do not broadcast
func.func @operands_that_do_not_broadcast(%x: tensor<4x6xf32>, %t: tensor<6x4xf32>) {
  %0 = "layout.elementwise"(%x, %t) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.elementwise: result has element type f32, expected i1
func.func @comparison_that_is_no_boolean(%x: tensor<4x6xf32>) {
  %0 = "layout.elementwise"(%x, %x) {fn = "lt", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.elementwise: the first operand of where is f32, expected i1
func.func @condition_that_is_no_boolean(%x: tensor<4x6xf32>) {
  %0 = "layout.elementwise"(%x, %x, %x) {fn = "where", operandSegmentSizes = array<i32: 1, 1, 1>} : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.contract: loop dim 2 is both 6 and 4 long
func.func @contraction_of_lengths_that_differ(%x: tensor<4x6xf32>, %t: tensor<6x4xf32>) {
  %0 = "layout.contract"(%x, %t) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.contract: the result's map (0, 0) is no projected permutation
func.func @contraction_onto_a_diagonal(%x: tensor<4x6xf32>) {
  %0 = "layout.contract"(%x, %x) {indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m, m)>]} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x4xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.contract: operands have different element types ['f32', 'i32']
func.func @contraction_of_element_types_that_differ(%x: tensor<4x6xf32>, %i: tensor<4x6xi32>) {
  %0 = "layout.contract"(%x, %i) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<4x6xi32>) -> tensor<4x4xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.conv: channels of input (2, 4, 9, 7) and weight (8, 3, 3, 3) do not fit 2 groups
func.func @groups_that_do_not_divide_the_channels(%m: tensor<2x4x9x7xf32>, %w: tensor<8x3x3x3xf32>) {
  %0 = "layout.conv"(%m, %w) {dilations = array<i64: 1, 1>, groups = 2, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<2x4x9x7xf32>, tensor<8x3x3x3xf32>) -> tensor<2x8x7x5xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.pool: kernel, strides and dilations are at least 1
func.func @stride_of_zero(%m: tensor<2x4x9x7xf32>) {
  %0 = "layout.pool"(%m) {count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, kind = "max", pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 0, 2>} : (tensor<2x4x9x7xf32>) -> tensor<2x4x4x3xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.pool: window of 9 (dilation 1) is larger than 7+0+0
func.func @window_larger_than_its_input(%m: tensor<2x4x9x7xf32>) {
  %0 = "layout.pool"(%m) {count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 9>, kind = "max", pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<2x4x9x7xf32>) -> tensor<2x4x4x3xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.reduce: kind 'median' is not one of sum, mean
func.func @unknown_reduction(%x: tensor<4x6xf32>) {
  %0 = "layout.reduce"(%x) {dims = array<i64: 0>, kind = "median"} : (tensor<4x6xf32>) -> tensor<6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.reduce: any reduces i1, got f32
func.func @reduction_of_floats_to_a_boolean(%x: tensor<4x6xf32>) {
  %0 = "layout.reduce"(%x) {dims = array<i64: 0>, kind = "any"} : (tensor<4x6xf32>) -> tensor<6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.softmax: dim 2 is outside rank 2
func.func @dim_outside_the_rank(%x: tensor<4x6xf32>) {
  %0 = "layout.softmax"(%x) {dim = 2, log = false} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.layer_norm: weight and bias are (6, 4), expected (6,)
func.func @weight_of_another_shape(%x: tensor<4x6xf32>, %t: tensor<6x4xf32>) {
  %0 = "layout.layer_norm"(%x, %t) {eps = 1.0e-5 : f64, normalized_dims = 1, operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<4x6xf32>, tensor<6x4xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.attention: query (4, 6), key (6, 4) and value (4, 6) do not contract
func.func @queries_and_keys_that_do_not_contract(%x: tensor<4x6xf32>, %t: tensor<6x4xf32>) {
  %0 = "layout.attention"(%x, %t, %x) {causal = false, keys = 6 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0>, scale = 1.0 : f64} : (tensor<4x6xf32>, tensor<6x4xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.attention: mask is i32, expected i1 or f32
func.func @mask_of_integers(%x: tensor<4x6xf32>, %s: tensor<4x4xi32>) {
  %0 = "layout.attention"(%x, %x, %x, %s) {causal = false, keys = 4 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 1>, scale = 1.0 : f64} : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x4xi32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.gather_elements: indices are f32, expected integers
func.func @gather_elements_by_floats(%x: tensor<4x6xf32>) {
  %0 = "layout.gather_elements"(%x, %x) {dim = 0} : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.gather_elements: indices (5, 2) do not fit table (4, 6) outside dim 1
func.func @gather_elements_outside(%x: tensor<4x6xf32>, %at: tensor<5x2xi32>) {
  %0 = "layout.gather_elements"(%x, %at) {dim = 1} : (tensor<4x6xf32>, tensor<5x2xi32>) -> tensor<5x2xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.scatter: kind 'mean' is not one of set, sum
func.func @scatter_of_unknown_kind(%x: tensor<4x6xf32>, %at: tensor<3xi32>, %new: tensor<3x6xf32>) {
  %0 = "layout.scatter"(%x, %at, %new) {dim = 0, kind = "mean"} : (tensor<4x6xf32>, tensor<3xi32>, tensor<3x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.scatter: indices are i8, expected i32
func.func @scatter_by_bytes(%x: tensor<4x6xf32>, %at: tensor<3xi8>, %new: tensor<3x6xf32>) {
  %0 = "layout.scatter"(%x, %at, %new) {dim = 0, kind = "set"} : (tensor<4x6xf32>, tensor<3xi8>, tensor<3x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.scatter: updates (3, 5) differ from input (4, 6) outside dim 0
func.func @scatter_of_other_rows(%x: tensor<4x6xf32>, %at: tensor<3xi32>, %new: tensor<3x5xf32>) {
  %0 = "layout.scatter"(%x, %at, %new) {dim = 0, kind = "set"} : (tensor<4x6xf32>, tensor<3xi32>, tensor<3x5xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.scatter: indices (2,) do not fit updates (3, 6) along dim 0
func.func @scatter_by_too_few(%x: tensor<4x6xf32>, %at: tensor<2xi32>, %new: tensor<3x6xf32>) {
  %0 = "layout.scatter"(%x, %at, %new) {dim = 0, kind = "set"} : (tensor<4x6xf32>, tensor<2xi32>, tensor<3x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.argsort: dim 2 is outside rank 2
func.func @argsort_outside(%x: tensor<4x6xf32>) {
  %0 = "layout.argsort"(%x) {descending = false, dim = 2} : (tensor<4x6xf32>) -> tensor<4x6xi32>
  return
}

// -----

// CHECK: error: {{.*}}layout.argsort: result has element type f32, expected i32
func.func @argsort_to_floats(%x: tensor<4x6xf32>) {
  %0 = "layout.argsort"(%x) {descending = false, dim = 1} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.arg_reduce: kind 'sum' is not one of max, min
func.func @arg_reduce_of_unknown_kind(%x: tensor<4x6xf32>) {
  %0 = "layout.arg_reduce"(%x) {dim = 0, kind = "sum"} : (tensor<4x6xf32>) -> tensor<6xi32>
  return
}

// -----

// CHECK: error: {{.*}}layout.scan: kind 'mean' is not one of sum, prod
func.func @scan_of_unknown_kind(%x: tensor<4x6xf32>) {
  %0 = "layout.scan"(%x) {dim = 0, kind = "mean"} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

// What moves elements gives the type that it takes.

// CHECK: error: {{.*}}layout.concat: operands have different element types ['f32', 'f16']
func.func @joined_floats_of_two_types(%x: tensor<4x6xf32>, %h: tensor<4x6xf16>) {
  %0 = "layout.concat"(%x, %h) {dim = 0} : (tensor<4x6xf32>, tensor<4x6xf16>) -> tensor<8x6xf32>
  return
}

// -----

// CHECK: error: {{.*}}layout.softmax: result has element type i32, expected f32
func.func @softmax_to_integers(%x: tensor<4x6xf32>) {
  %0 = "layout.softmax"(%x) {dim = 1, log = false} : (tensor<4x6xf32>) -> tensor<4x6xi32>
  return
}

// -----

// CHECK: error: {{.*}}layout.pool: result has element type f16, expected f32
func.func @largest_elements_of_another_type(%x: tensor<1x8x6x5xf32>) {
  %0 = "layout.pool"(%x) {kind = "max", kernel = array<i64: 2, 2>, strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pad_low = array<i64: 0, 0>, pad_high = array<i64: 0, 0>, count_include_pad = true} : (tensor<1x8x6x5xf32>) -> tensor<1x8x3x2xf16>
  return
}
