// RUN: %smartmem-opt %s --split-input-file --pass-pipeline='smartmem-lower-to-linalg{device=vulkan},canonicalize,cse' | %filecheck %s

// A GPU counts, for each element of a short row, those that go before it, then looks for the element of each rank.

// CHECK-LABEL: func.func @counted
// CHECK: arith.bitcast %{{.*}} : f32 to i32
// CHECK: %[[KEYS:.*]] = "util.optimization_barrier"
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins(%[[KEYS]], {{.*}} outs(%{{.*}} : tensor<4x5xi32>)
// CHECK: arith.cmpi slt
// CHECK: %[[RANKS:.*]] = "util.optimization_barrier"
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "reduction"]} ins({{.*}}%[[RANKS]]
// CHECK: "util.optimization_barrier"
// CHECK-NOT: linalg.generic
func.func @counted(%x: tensor<4x5xf32>) -> tensor<4x5xi32> {
  %0 = "layout.argsort"(%x) {descending = false, dim = 1} : (tensor<4x5xf32>) -> tensor<4x5xi32>
  return %0 : tensor<4x5xi32>
}

// -----

// Nine doublings sort three hundred elements; each writes its own tensor.

// CHECK-LABEL: func.func @argsort
// CHECK: %[[BITS:.*]] = arith.bitcast %{{.*}} : f32 to i32
// CHECK: %[[KEYS:.*]] = "util.optimization_barrier"
// CHECK: %[[START:.*]] = "util.optimization_barrier"
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel"]} outs(%{{.*}} : tensor<4x300xi32>)
// CHECK: tensor.extract %[[START]]
// CHECK: tensor.extract %[[KEYS]]
// CHECK: arith.cmpi slt
// CHECK: %[[PAIRS:.*]] = "util.optimization_barrier"
// CHECK: tensor.extract %[[PAIRS]]
// CHECK-COUNT-8: "util.optimization_barrier"
// CHECK-NOT: linalg.generic
func.func @argsort(%x: tensor<4x300xf32>) -> tensor<4x300xi32> {
  %0 = "layout.argsort"(%x) {descending = false, dim = 1} : (tensor<4x300xf32>) -> tensor<4x300xi32>
  return %0 : tensor<4x300xi32>
}

// -----

// The extreme key, then the first place where it stands. For a minimum NaN is the smallest.

// CHECK-LABEL: func.func @argmin
// CHECK-DAG: %[[NAN:.*]] = arith.constant -2147483648 : i32
// CHECK: arith.cmpf une
// CHECK: arith.select %{{.*}}, %[[NAN]]
// CHECK: %[[KEYS:.*]] = "util.optimization_barrier"
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<4x6xi32>) outs(%{{.*}} : tensor<4xi32>)
// CHECK: arith.minui
// CHECK: %[[BEST:.*]] = "util.optimization_barrier"
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]} ins(%[[KEYS]], %[[BEST]]
// CHECK: %[[FOUND:.*]] = arith.cmpi eq
// CHECK: arith.select %[[FOUND]]
// CHECK: arith.maxsi
func.func @argmin(%x: tensor<4x6xf32>) -> tensor<4xi32> {
  %0 = "layout.arg_reduce"(%x) {dim = 1, kind = "min"} : (tensor<4x6xf32>) -> tensor<4xi32>
  return %0 : tensor<4xi32>
}
