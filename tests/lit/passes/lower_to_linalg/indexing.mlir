// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=cpu},canonicalize,cse' | %filecheck %s

// A look-up clamps its position and answers NaN outside the table.

// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func.func @gather
// CHECK-DAG: %[[NAN:.*]] = arith.constant 0x7FC00000 : f32
// CHECK-DAG: %[[LAST:.*]] = arith.constant 9 : index
// CHECK: linalg.generic {indexing_maps = [#[[ROW]], #{{.*}}], iterator_types = ["parallel", "parallel"]} ins(%arg1 : tensor<4xi32>)
// CHECK: %[[SAFE:.*]] = arith.minsi %{{.*}}, %[[LAST]] : index
// CHECK: %[[COLUMN:.*]] = linalg.index 1 : index
// CHECK: %[[ITEM:.*]] = tensor.extract %arg0[%[[SAFE]], %[[COLUMN]]] : tensor<10x6xf32>
// CHECK: arith.select %{{.*}}, %[[ITEM]], %[[NAN]] : f32
func.func @gather(%table: tensor<10x6xf32>, %ids: tensor<4xi32>) -> tensor<4x6xf32> {
  %0 = "layout.gather"(%table, %ids) {dim = 0} : (tensor<10x6xf32>, tensor<4xi32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// Only the axis looked up along is computed.

// CHECK-LABEL: func.func @gather_elements
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]} ins(%arg1 : tensor<4x2xi32>)
// CHECK: %[[ROW:.*]] = linalg.index 0 : index
// CHECK: tensor.extract %arg0[%[[ROW]], %{{.*}}] : tensor<4x6xf32>
func.func @gather_elements(%x: tensor<4x6xf32>, %at: tensor<4x2xi32>) -> tensor<4x2xf32> {
  %0 = "layout.gather_elements"(%x, %at) {dim = 1} : (tensor<4x6xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
  return %0 : tensor<4x2xf32>
}

// -----

// Each element sums the updates meant for it, in f32, then adds its own value.

// CHECK-DAG: #[[UPDATE:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[HERE:.*]] = affine_map<(d0, d1, d2) -> (d1)>
// CHECK-DAG: #[[RESULT:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-LABEL: func.func @scatter_sum
// CHECK: %[[TOTAL:.*]] = linalg.generic {indexing_maps = [#[[UPDATE]], #[[HERE]], #[[UPDATE]], #[[RESULT]]], iterator_types = ["parallel", "parallel", "reduction"]}
// CHECK: %[[MEANT:.*]] = arith.cmpi eq
// CHECK: %[[ITEM:.*]] = arith.select %[[MEANT]], %{{.*}}, %{{.*}} : f32
// CHECK: arith.addf %{{.*}}, %[[ITEM]] : f32
// CHECK: linalg.generic {{.*}} ins(%arg0, %[[TOTAL]] : tensor<4x6xf16>, tensor<4x6xf32>)
// CHECK: arith.truncf
func.func @scatter_sum(%x: tensor<4x6xf16>, %at: tensor<4x2xi32>, %new: tensor<4x2xf16>) -> tensor<4x6xf16> {
  %0 = "layout.scatter"(%x, %at, %new) {dim = 1, kind = "sum"} : (tensor<4x6xf16>, tensor<4x2xi32>, tensor<4x2xf16>) -> tensor<4x6xf16>
  return %0 : tensor<4x6xf16>
}

// -----

// The last update for each row is found once for the whole row.

// CHECK-LABEL: func.func @scatter_set
// CHECK: %[[LATEST:.*]] = linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]} ins(%arg1, {{.*}} outs(%{{.*}} : tensor<4xi32>)
// CHECK: arith.maxsi
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]} ins(%arg0, %[[LATEST]] : tensor<4x6xf32>, tensor<4xi32>)
// CHECK: %[[NEW:.*]] = tensor.extract %arg2
// CHECK: arith.select %{{.*}}, %[[NEW]], %{{.*}} : f32
func.func @scatter_set(%x: tensor<4x6xf32>, %at: tensor<3xi32>, %new: tensor<3x6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.scatter"(%x, %at, %new) {dim = 0, kind = "set"} : (tensor<4x6xf32>, tensor<3xi32>, tensor<3x6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}
