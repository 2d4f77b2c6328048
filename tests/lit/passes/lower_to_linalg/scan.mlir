// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=cpu},canonicalize,cse' | %filecheck %s

// A short row: each element sums those up to itself. Positions are read from memory.

// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[OTHER:.*]] = affine_map<(d0, d1, d2) -> (d2)>
// CHECK-DAG: #[[HERE:.*]] = affine_map<(d0, d1, d2) -> (d1)>
// CHECK-LABEL: func.func @short
// CHECK-DAG: %[[PLACES:.*]] = arith.constant dense<[0, 1, 2, 3, 4, 5]> : tensor<6xi32>
// CHECK: linalg.generic {indexing_maps = [#[[ROW]], #[[OTHER]], #[[HERE]], #{{.*}}], iterator_types = ["parallel", "parallel", "reduction"]} ins(%arg0, %[[PLACES]], %[[PLACES]]
// CHECK: arith.cmpi sle
// CHECK: arith.select
// CHECK: arith.addf
func.func @short(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.scan"(%x) {dim = 1, kind = "sum"} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// A long row in blocks: scan each, scan their totals without the block's own, combine, cut.

// CHECK-LABEL: func.func @long
// CHECK: tensor.pad %arg0 low[0] high[28]
// CHECK: %[[BLOCKS:.*]] = tensor.expand_shape {{.*}} into tensor<2x64xi32>
// CHECK: %[[INNER:.*]] = linalg.generic {{.*}} ins(%[[BLOCKS]], {{.*}} outs(%{{.*}} : tensor<2x64xi32>)
// CHECK: arith.cmpi sle
// CHECK: %[[TOTALS:.*]] = linalg.generic {{.*}} ins(%[[BLOCKS]] : tensor<2x64xi32>) outs(%{{.*}} : tensor<2xi32>)
// CHECK: %[[BEFORE:.*]] = linalg.generic {{.*}} ins(%[[TOTALS]], {{.*}} outs(%{{.*}} : tensor<2xi32>)
// CHECK: arith.cmpi slt
// CHECK: linalg.generic {{.*}} ins(%[[BEFORE]], %[[INNER]] : tensor<2xi32>, tensor<2x64xi32>)
// CHECK: arith.maxsi
// CHECK: tensor.extract_slice {{.*}} : tensor<128xi32> to tensor<100xi32>
func.func @long(%x: tensor<100xi32>) -> tensor<100xi32> {
  %0 = "layout.scan"(%x) {dim = 0, kind = "max"} : (tensor<100xi32>) -> tensor<100xi32>
  return %0 : tensor<100xi32>
}

// -----

// 16-bit floats are summed in f32.

// CHECK-LABEL: func.func @half
// CHECK: arith.extf
// CHECK: arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: arith.truncf
func.func @half(%x: tensor<4x6xf16>) -> tensor<4x6xf16> {
  %0 = "layout.scan"(%x) {dim = 0, kind = "prod"} : (tensor<4x6xf16>) -> tensor<4x6xf16>
  return %0 : tensor<4x6xf16>
}
