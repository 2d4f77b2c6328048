// RUN: %smartmem-opt %s --split-input-file --pass-pipeline=smartmem-select-layouts | %filecheck %s

// A chain of convolutions stays channels-last: relayouts at its ends only, weights packed in the archive.

// CHECK-LABEL: func.func @conv_chain
// CHECK-NEXT: %[[W0:.*]] = "layout.weight"() {{.*}}key = "a"{{.*}} -> tensor<8x3x3x3xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
// CHECK-NEXT: %[[W1:.*]] = "layout.weight"() {{.*}}key = "b"{{.*}} -> tensor<4x8x1x1xf32, #layout.repr<array<i64: 2, 3, 1, 0>, [], [], "buffer">>
// CHECK-NEXT: %[[BIAS:.*]] = "layout.weight"() {{.*}}key = "c"{{.*}} -> tensor<8x1x1xf32>
// CHECK-NEXT: %[[IN:.*]] = "layout.relayout"(%arg0) {{.*}} -> tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[C0:.*]] = "layout.conv"(%[[IN]], %[[W0]]) {{.*}} -> tensor<1x8x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[SUM:.*]] = "layout.elementwise"(%[[C0]], %[[BIAS]]) {{.*}} -> tensor<1x8x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[POOL:.*]] = "layout.pool"(%[[SUM]]) {{.*}} -> tensor<1x8x4x4xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[PAD:.*]] = "layout.pad"(%[[POOL]]) {{.*}} -> tensor<1x8x5x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[C1:.*]] = "layout.conv"(%[[PAD]], %[[W1]]) {{.*}} -> tensor<1x4x5x5xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[OUT:.*]] = "layout.relayout"(%[[C1]]) {{.*}} -> tensor<1x4x5x5xf32>
// CHECK-NEXT: return %[[OUT]] : tensor<1x4x5x5xf32>
func.func @conv_chain(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x5x5xf32> {
  %w0 = "layout.weight"() {encoding = #layout.dense, key = "a"} : () -> tensor<8x3x3x3xf32>
  %w1 = "layout.weight"() {encoding = #layout.dense, key = "b"} : () -> tensor<4x8x1x1xf32>
  %bias = "layout.weight"() {encoding = #layout.dense, key = "c"} : () -> tensor<8x1x1xf32>
  %0 = "layout.conv"(%x, %w0) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<8x3x3x3xf32>) -> tensor<1x8x8x8xf32>
  %1 = "layout.elementwise"(%0, %bias) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x8x8x8xf32>, tensor<8x1x1xf32>) -> tensor<1x8x8x8xf32>
  %2 = "layout.pool"(%1) {count_include_pad = true, dilations = array<i64: 1, 1>, kernel = array<i64: 2, 2>, kind = "max", pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x8x8x8xf32>) -> tensor<1x8x4x4xf32>
  %3 = "layout.pad"(%2) {low = array<i64: 0, 0, 1, 1>, high = array<i64: 0, 0, 0, 0>, value = 0.0 : f32} : (tensor<1x8x4x4xf32>) -> tensor<1x8x5x5xf32>
  %4 = "layout.conv"(%3, %w1) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : (tensor<1x8x5x5xf32>, tensor<4x8x1x1xf32>) -> tensor<1x4x5x5xf32>
  return %4 : tensor<1x4x5x5xf32>
}

// -----

// A view is written in the layout its reader asks for: tokens [1, 64, 3] become an image without a relayout.

// CHECK-LABEL: func.func @view_absorbs
// CHECK-NOT: layout.relayout
// CHECK: %[[IMAGE:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<1x3x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[CONV:.*]] = "layout.conv"(%[[IMAGE]], {{.*}} -> tensor<1x4x8x8xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NEXT: %[[TOKENS:.*]] = "layout.view"(%[[CONV]]) {{.*}} -> tensor<1x64x4xf32>
// CHECK-NEXT: return %[[TOKENS]]
func.func @view_absorbs(%x: tensor<1x64x3xf32>) -> tensor<1x64x4xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x3x3x3xf32>
  %0 = "layout.view"(%x) {index_map = affine_map<(n, c, h, w) -> (n, h * 8 + w, c)>} : (tensor<1x64x3xf32>) -> tensor<1x3x8x8xf32>
  %1 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  %2 = "layout.view"(%1) {index_map = affine_map<(n, t, c) -> (n, c, t floordiv 8, t mod 8)>} : (tensor<1x4x8x8xf32>) -> tensor<1x64x4xf32>
  return %2 : tensor<1x64x4xf32>
}

// -----

// One relayout serves two readers.

// CHECK-LABEL: func.func @two_readers
// CHECK: %[[IN:.*]] = "layout.relayout"(%arg0)
// CHECK-NOT: "layout.relayout"(%arg0)
// CHECK: "layout.conv"(%[[IN]], %{{.*}})
// CHECK: "layout.conv"(%[[IN]], %{{.*}})
func.func @two_readers(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w0 = "layout.weight"() {encoding = #layout.dense, key = "a"} : () -> tensor<4x3x3x3xf32>
  %w1 = "layout.weight"() {encoding = #layout.dense, key = "b"} : () -> tensor<4x3x3x3xf32>
  %0 = "layout.conv"(%x, %w0) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  %1 = "layout.conv"(%x, %w1) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  %2 = "layout.elementwise"(%0, %1) {fn = "add", operandSegmentSizes = array<i32: 1, 1, 0>} : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  return %2 : tensor<1x4x8x8xf32>
}

// -----

// A linear layer's weight [N, K] lies K x N; one that is read as [K, N] already does.

// CHECK-LABEL: func.func @weights
// CHECK-NEXT: "layout.weight"() {{.*}}key = "nk"{{.*}} -> tensor<8x6xf32, #layout.repr<array<i64: 1, 0>, [], [], "buffer">>
// CHECK-NEXT: "layout.weight"() {{.*}}key = "kn"{{.*}} -> tensor<8x5xf32>
// CHECK-NOT: layout.relayout
func.func @weights(%x: tensor<4x6xf32>) -> tensor<4x5xf32> {
  %nk = "layout.weight"() {encoding = #layout.dense, key = "nk"} : () -> tensor<8x6xf32>
  %kn = "layout.weight"() {encoding = #layout.dense, key = "kn"} : () -> tensor<8x5xf32>
  %0 = "layout.contract"(%x, %nk) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<8x6xf32>) -> tensor<4x8xf32>
  %1 = "layout.contract"(%0, %kn) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x8xf32>, tensor<8x5xf32>) -> tensor<4x5xf32>
  return %1 : tensor<4x5xf32>
}

// -----

// A tied table, looked up and multiplied with: the archive holds it once, and both readers take that.

// CHECK-LABEL: func.func @tied
// CHECK-NEXT: %[[TABLE:.*]] = "layout.weight"() {{.*}}key = "embedding"
// CHECK-NOT: layout.relayout
// CHECK: "layout.gather"(%{{.*}}, %arg0)
// CHECK: "layout.contract"
func.func @tied(%ids: tensor<4xi32>) -> tensor<4x10xf32> {
  %table = "layout.weight"() {encoding = #layout.dense, key = "embedding"} : () -> tensor<10x6xf32>
  %0 = "layout.gather"(%table, %ids) {dim = 0} : (tensor<10x6xf32>, tensor<4xi32>) -> tensor<4x6xf32>
  %1 = "layout.contract"(%0, %table) {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]} : (tensor<4x6xf32>, tensor<10x6xf32>) -> tensor<4x10xf32>
  return %1 : tensor<4x10xf32>
}

// -----

// Two readers that insist on different layouts: the view keeps the one, a copy gives the other.

// CHECK-LABEL: func.func @view_of_two_minds
// CHECK: %[[IMAGE:.*]] = "layout.view"(%arg0) {{.*}} -> tensor<1x3x8x8xf32>
// CHECK: %[[LAST:.*]] = "layout.relayout"(%[[IMAGE]])
// CHECK: "layout.conv"(%[[LAST]], %{{.*}})
// CHECK: return %{{.*}}, %[[IMAGE]]
func.func @view_of_two_minds(%x: tensor<1x64x3xf32>) -> (tensor<1x4xf32>, tensor<1x3x8x8xf32>) {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<4x3x3x3xf32>
  %0 = "layout.view"(%x) {index_map = affine_map<(n, c, h, w) -> (n, h * 8 + w, c)>} : (tensor<1x64x3xf32>) -> tensor<1x3x8x8xf32>
  %1 = "layout.conv"(%0, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 1, 1>, pad_low = array<i64: 1, 1>, strides = array<i64: 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x8x8xf32>
  %2 = "layout.reduce"(%1) {dims = array<i64: 2, 3>, kind = "mean"} : (tensor<1x4x8x8xf32>) -> tensor<1x4xf32>
  return %2, %0 : tensor<1x4xf32>, tensor<1x3x8x8xf32>
}

// -----

// Windows side by side are a contraction, which reads its image in any order: no relayout at the model's entry.

// CHECK-LABEL: func.func @patch_embedding
// CHECK-NOT: layout.relayout
// CHECK: "layout.conv"(%arg0, %{{.*}}) {{.*}} -> tensor<1x8x4x4xf32, #layout.repr<array<i64: 0, 2, 3, 1>, [], [], "buffer">>
// CHECK-NOT: layout.relayout
// CHECK: return
func.func @patch_embedding(%x: tensor<1x3x8x8xf32>) -> tensor<1x16x8xf32> {
  %w = "layout.weight"() {encoding = #layout.dense, key = "w"} : () -> tensor<8x3x2x2xf32>
  %0 = "layout.conv"(%x, %w) {dilations = array<i64: 1, 1>, groups = 1, pad_high = array<i64: 0, 0>, pad_low = array<i64: 0, 0>, strides = array<i64: 2, 2>} : (tensor<1x3x8x8xf32>, tensor<8x3x2x2xf32>) -> tensor<1x8x4x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(n, t, c) -> (n, c, t floordiv 4, t mod 4)>} : (tensor<1x8x4x4xf32>) -> tensor<1x16x8xf32>
  return %1 : tensor<1x16x8xf32>
}
