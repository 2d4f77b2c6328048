module attributes {stream.affinity.default = #hal.device.affinity<@__device_0>} {
  util.global private @__device_0 = #hal.device.target<"vulkan", [#hal.executable.target<"vulkan-spirv", "vulkan-spirv-fb", {iree_codegen.target_info = #iree_gpu.target<arch = "vp_android_baseline_2022", features = "spirv:v1.3,cap:Shader", wgp = <compute = fp32|int32, storage = b32, subgroup = none, subgroup_size_choices = [64], max_workgroup_sizes = [128, 128, 64], max_thread_count_per_workgroup = 128, max_workgroup_memory_bytes = 16384, max_workgroup_counts = [65535, 65535, 65535]>>}>]> : !hal.device
  stream.executable private @main_dispatch_0 {
    stream.executable.export public @main_dispatch_0_transpose_4x16x8_f32 workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_0_transpose_4x16x8_f32(%arg0: !stream.binding {stream.alignment = 64 : index}, %arg1: !stream.binding {stream.alignment = 64 : index}) {
        %c0 = arith.constant 0 : index
        %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x16x8xf32>>
        %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<8x16x4xf32>>
        %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0, 0], sizes = [4, 16, 8], strides = [1, 1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x16x8xf32>> -> tensor<4x16x8xf32>
        %3 = tensor.empty() : tensor<8x16x4xf32>
        %4 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d2, d1, d0)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%2 : tensor<4x16x8xf32>) outs(%3 : tensor<8x16x4xf32>) {
        ^bb0(%in: f32, %out: f32):
          linalg.yield %in : f32
        } -> tensor<8x16x4xf32>
        iree_tensor_ext.dispatch.tensor.store %4, %1, offsets = [0, 0, 0], sizes = [8, 16, 4], strides = [1, 1, 1] : tensor<8x16x4xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<8x16x4xf32>>
        return
      }
    }
  }
  stream.executable private @main_dispatch_1 {
    stream.executable.export public @main_dispatch_1_matmul_64x32x8_f32 workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_1_matmul_64x32x8_f32(%arg0: !stream.binding {stream.alignment = 64 : index}, %arg1: !stream.binding {stream.alignment = 64 : index}, %arg2: !stream.binding {stream.alignment = 64 : index}) {
        %cst = arith.constant 0.000000e+00 : f32
        %c0 = arith.constant 0 : index
        %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<64x8xf32>>
        %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<8x32xf32>>
        %2 = stream.binding.subspan %arg2[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<64x32xf32>>
        %3 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0], sizes = [64, 8], strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<64x8xf32>> -> tensor<64x8xf32>
        %4 = iree_tensor_ext.dispatch.tensor.load %1, offsets = [0, 0], sizes = [8, 32], strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<8x32xf32>> -> tensor<8x32xf32>
        %5 = tensor.empty() : tensor<64x32xf32>
        %6 = linalg.fill ins(%cst : f32) outs(%5 : tensor<64x32xf32>) -> tensor<64x32xf32>
        %7 = linalg.matmul ins(%3, %4 : tensor<64x8xf32>, tensor<8x32xf32>) outs(%6 : tensor<64x32xf32>) -> tensor<64x32xf32>
        iree_tensor_ext.dispatch.tensor.store %7, %2, offsets = [0, 0], sizes = [64, 32], strides = [1, 1] : tensor<64x32xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<64x32xf32>>
        return
      }
    }
  }
  stream.executable private @main_dispatch_2 {
    stream.executable.export public @main_dispatch_2_elementwise_transpose_4x16x32_f32 workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_2_elementwise_transpose_4x16x32_f32(%arg0: !stream.binding {stream.alignment = 64 : index}, %arg1: !stream.binding {stream.alignment = 64 : index}, %arg2: !stream.binding {stream.alignment = 64 : index}) {
        %c0 = arith.constant 0 : index
        %c8192 = arith.constant 8192 : index
        %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x16x32xf32>>
        %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x16x32xf32>>
        %2 = stream.binding.subspan %arg2[%c8192] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x4x32xf32>>
        %3 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0, 0], sizes = [4, 16, 32], strides = [1, 1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x16x32xf32>> -> tensor<4x16x32xf32>
        %4 = iree_tensor_ext.dispatch.tensor.load %1, offsets = [0, 0, 0], sizes = [4, 16, 32], strides = [1, 1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x16x32xf32>> -> tensor<4x16x32xf32>
        %5 = tensor.empty() : tensor<16x4x32xf32>
        %6 = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d1, d0, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%3, %4 : tensor<4x16x32xf32>, tensor<4x16x32xf32>) outs(%5 : tensor<16x4x32xf32>) {
        ^bb0(%in: f32, %in_0: f32, %out: f32):
          %7 = arith.addf %in, %in_0 : f32
          linalg.yield %7 : f32
        } -> tensor<16x4x32xf32>
        iree_tensor_ext.dispatch.tensor.store %6, %2, offsets = [0, 0, 0], sizes = [16, 4, 32], strides = [1, 1, 1] : tensor<16x4x32xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x4x32xf32>>
        return
      }
    }
  }
  stream.executable private @main_dispatch_3 {
    stream.executable.export public @main_dispatch_3_softmax_16x4x32xf32_dispatch_tensor_store workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_3_softmax_16x4x32xf32_dispatch_tensor_store(%arg0: !stream.binding {stream.alignment = 64 : index}, %arg1: !stream.binding {stream.alignment = 64 : index}) {
        %c8192 = arith.constant 8192 : index
        %c0 = arith.constant 0 : index
        %0 = stream.binding.subspan %arg0[%c8192] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16x4x32xf32>>
        %1 = stream.binding.subspan %arg1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x4x32xf32>>
        %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0, 0], sizes = [16, 4, 32], strides = [1, 1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<16x4x32xf32>> -> tensor<16x4x32xf32>
        %3 = tensor.empty() : tensor<16x4x32xf32>
        %4 = linalg.softmax dimension(2) ins(%2 : tensor<16x4x32xf32>) outs(%3 : tensor<16x4x32xf32>) -> tensor<16x4x32xf32>
        iree_tensor_ext.dispatch.tensor.store %4, %1, offsets = [0, 0, 0], sizes = [16, 4, 32], strides = [1, 1, 1] : tensor<16x4x32xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x4x32xf32>>
        return
      }
    }
  }
  stream.executable private @main_dispatch_4 {
    stream.executable.export public @main_dispatch_4_slow_memcpy workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_4_slow_memcpy(%arg0: !stream.binding {stream.alignment = 64 : index}, %arg1: !stream.binding {stream.alignment = 64 : index}) {
        %c0 = arith.constant 0 : index
        %c8192 = arith.constant 8192 : index
        %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x4xf32>>
        %1 = stream.binding.subspan %arg1[%c8192] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<4x10xf32>>
        %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0], sizes = [4, 4], strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x4xf32>> -> tensor<4x4xf32>
        iree_tensor_ext.dispatch.tensor.store %2, %1, offsets = [0, 0], sizes = [4, 4], strides = [1, 1] : tensor<4x4xf32> -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<4x10xf32>>
        return
      }
    }
  }
  stream.executable private @main_dispatch_5 {
    stream.executable.export public @main_dispatch_5 workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_5(%arg0: !stream.binding {stream.alignment = 64 : index}) {
        %cst = arith.constant dense<2.000000e+00> : tensor<4x2xf32>
        %c8192 = arith.constant 8192 : index
        %0 = stream.binding.subspan %arg0[%c8192] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<4x10xf32>>
        iree_tensor_ext.dispatch.tensor.store %cst, %0, offsets = [0, 4], sizes = [4, 2], strides = [1, 1] : tensor<4x2xf32> -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<4x10xf32>>
        return
      }
    }
  }
  stream.executable private @main_dispatch_6 {
    stream.executable.export public @main_dispatch_6_slow_memcpy workgroups() -> (index, index, index) {
      %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
      stream.return %x, %y, %z : index, index, index
    }
    builtin.module {
      func.func @main_dispatch_6_slow_memcpy(%arg0: !stream.binding {stream.alignment = 64 : index}, %arg1: !stream.binding {stream.alignment = 64 : index}) {
        %c0 = arith.constant 0 : index
        %c8192 = arith.constant 8192 : index
        %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x4xf32>>
        %1 = stream.binding.subspan %arg1[%c8192] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<4x10xf32>>
        %2 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0], sizes = [4, 4], strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<4x4xf32>> -> tensor<4x4xf32>
        iree_tensor_ext.dispatch.tensor.store %2, %1, offsets = [0, 6], sizes = [4, 4], strides = [1, 1] : tensor<4x4xf32> -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<4x10xf32>>
        return
      }
    }
  }
  util.func public @main(%arg0: !hal.buffer_view, %arg1: !hal.buffer_view, %arg2: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view, !hal.buffer_view) attributes {iree.abi.stub, iree.reflection = {iree.abi.declaration = "sync func @main(%input0: tensor<4x16x8xf32>, %input1: tensor<8x32xf32>, %input2: tensor<4x4xf32>) -> (%output0: tensor<8x16x4xf32>, %output1: tensor<16x4x32xf32>, %output2: tensor<4x10xf32>)"}} {
    %c0 = arith.constant 0 : index
    %c16384 = arith.constant 16384 : index
    %c8384 = arith.constant 8384 : index
    %c160 = arith.constant 160 : index
    %c1077936128_i32 = arith.constant 1077936128 : i32
    %c64 = arith.constant 64 : index
    %c1024 = arith.constant 1024 : index
    %c2048 = arith.constant 2048 : index
    %c32 = arith.constant 32 : index
    %c8 = arith.constant 8 : index
    %c16 = arith.constant 16 : index
    %c4 = arith.constant 4 : index
    %c8192 = arith.constant 8192 : index
    %element_type_f32 = hal.element_type<f32> : i32
    %dense_row_major = hal.encoding_type<dense_row_major> : i32
    hal.buffer_view.assert<%arg0 : !hal.buffer_view> message("input0") shape([%c4, %c16, %c8]) type(%element_type_f32) encoding(%dense_row_major)
    %0 = stream.tensor.import on(#hal.device.affinity<@__device_0>) %arg0 : !hal.buffer_view -> tensor<4x16x8xf32> in !stream.resource<external>{%c2048}
    hal.buffer_view.assert<%arg1 : !hal.buffer_view> message("input1") shape([%c8, %c32]) type(%element_type_f32) encoding(%dense_row_major)
    %1 = stream.tensor.import on(#hal.device.affinity<@__device_0>) %arg1 : !hal.buffer_view -> tensor<8x32xf32> in !stream.resource<external>{%c1024}
    hal.buffer_view.assert<%arg2 : !hal.buffer_view> message("input2") shape([%c4, %c4]) type(%element_type_f32) encoding(%dense_row_major)
    %2 = stream.tensor.import on(#hal.device.affinity<@__device_0>) %arg2 : !hal.buffer_view -> tensor<4x4xf32> in !stream.resource<external>{%c64}
    %result, %result_timepoint = stream.resource.alloca uninitialized on(#hal.device.affinity<@__device_0>) : !stream.resource<external>{%c2048} => !stream.timepoint
    %result_0, %result_timepoint_1 = stream.resource.alloca uninitialized on(#hal.device.affinity<@__device_0>) : !stream.resource<transient>{%c8192} => !stream.timepoint
    %3 = stream.timepoint.join max(%result_timepoint, %result_timepoint_1) => !stream.timepoint
    %4 = stream.cmd.execute on(#hal.device.affinity<@__device_0>) await(%3) => with(%0 as %arg3: !stream.resource<external>{%c2048}, %result as %arg4: !stream.resource<external>{%c2048}, %result_0 as %arg5: !stream.resource<transient>{%c8192}) {
      stream.cmd.concurrent {
        stream.cmd.dispatch @main_dispatch_0::@main_dispatch_0_transpose_4x16x8_f32 {
          ro %arg3[%c0 for %c2048] : !stream.resource<external>{%c2048},
          wo %arg4[%c0 for %c2048] : !stream.resource<external>{%c2048}
        }
        stream.cmd.fill %c1077936128_i32, %arg5[%c0 for %c8192] : i32 -> !stream.resource<transient>{%c8192}
      }
    } => !stream.timepoint
    %5:2 = stream.timepoint.await %4 => %result_0, %result : !stream.resource<transient>{%c8192}, !stream.resource<external>{%c2048}
    %6 = util.optimization_barrier %5#0 : !stream.resource<transient>
    %result_2, %result_timepoint_3 = stream.resource.alloca uninitialized on(#hal.device.affinity<@__device_0>) : !stream.resource<external>{%c8384} => !stream.timepoint
    %result_4, %result_timepoint_5 = stream.resource.alloca uninitialized on(#hal.device.affinity<@__device_0>) : !stream.resource<transient>{%c16384} => !stream.timepoint
    %7 = stream.timepoint.join max(%result_timepoint_3, %result_timepoint_5) => !stream.timepoint
    %8 = stream.cmd.execute on(#hal.device.affinity<@__device_0>) await(%7) => with(%0 as %arg3: !stream.resource<external>{%c2048}, %1 as %arg4: !stream.resource<external>{%c1024}, %6 as %arg5: !stream.resource<transient>{%c8192}, %2 as %arg6: !stream.resource<external>{%c64}, %result_2 as %arg7: !stream.resource<external>{%c8384}, %result_4 as %arg8: !stream.resource<transient>{%c16384}) {
      stream.cmd.dispatch @main_dispatch_1::@main_dispatch_1_matmul_64x32x8_f32 {
        ro %arg3[%c0 for %c2048] : !stream.resource<external>{%c2048},
        ro %arg4[%c0 for %c1024] : !stream.resource<external>{%c1024},
        wo %arg8[%c0 for %c16384] : !stream.resource<transient>{%c16384}
      }
      stream.cmd.dispatch @main_dispatch_2::@main_dispatch_2_elementwise_transpose_4x16x32_f32 {
        ro %arg8[%c0 for %c16384] : !stream.resource<transient>{%c16384},
        ro %arg5[%c0 for %c8192] : !stream.resource<transient>{%c8192},
        wo %arg8[%c0 for %c16384] : !stream.resource<transient>{%c16384}
      }
      stream.cmd.concurrent {
        stream.cmd.dispatch @main_dispatch_3::@main_dispatch_3_softmax_16x4x32xf32_dispatch_tensor_store {
          ro %arg8[%c0 for %c16384] : !stream.resource<transient>{%c16384},
          wo %arg7[%c0 for %c8384] : !stream.resource<external>{%c8384}
        }
        stream.cmd.dispatch @main_dispatch_4::@main_dispatch_4_slow_memcpy {
          ro %arg6[%c0 for %c64] : !stream.resource<external>{%c64},
          rw %arg7[%c0 for %c8384] : !stream.resource<external>{%c8384}
        }
      }
      stream.cmd.dispatch @main_dispatch_5::@main_dispatch_5 {
        rw %arg7[%c0 for %c8384] : !stream.resource<external>{%c8384}
      }
      stream.cmd.dispatch @main_dispatch_6::@main_dispatch_6_slow_memcpy {
        ro %arg6[%c0 for %c64] : !stream.resource<external>{%c64},
        rw %arg7[%c0 for %c8384] : !stream.resource<external>{%c8384}
      }
    } => !stream.timepoint
    %9 = stream.resource.dealloca on(#hal.device.affinity<@__device_0>) await(%8) => %result_4 : !stream.resource<transient>{%c16384} => !stream.timepoint
    %10 = stream.tensor.export on(#hal.device.affinity<@__device_0>) %5#1 : tensor<8x16x4xf32> in !stream.resource<external>{%c2048} -> !hal.buffer_view
    %11 = stream.timepoint.await %9 => %result_2 : !stream.resource<external>{%c8384}
    %12 = stream.resource.subview %11[%c0] : !stream.resource<external>{%c8384} -> !stream.resource<external>{%c8192}
    %13 = stream.resource.subview %11[%c8192] : !stream.resource<external>{%c8384} -> !stream.resource<external>{%c160}
    %14 = stream.tensor.export on(#hal.device.affinity<@__device_0>) %12 : tensor<16x4x32xf32> in !stream.resource<external>{%c8192} -> !hal.buffer_view
    %15 = stream.tensor.export on(#hal.device.affinity<@__device_0>) %13 : tensor<4x10xf32> in !stream.resource<external>{%c160} -> !hal.buffer_view
    util.return %10, %14, %15 : !hal.buffer_view, !hal.buffer_view, !hal.buffer_view
  }
}