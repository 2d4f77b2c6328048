"""What is read of a stream-phase module's weights, and how a plan is written into it."""

import pytest
from unit.passes.iree import bodies

from smartmem.errors import CompileError
from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.streaming import emit, problem_of, work_of
from smartmem.passes.iree.weight_uses import weight_uses
from smartmem.passes.rules.loads import Speeds
from smartmem.passes.streaming import naive
from smartmem.passes.streaming.coarsen import Coarse, coarsen

# Weights a, b and c; b is read by two dispatches, c goes to the caller besides.
MODULE = """
module attributes {stream.affinity.default = #hal.device.affinity<@d>} {
  util.global private @d = #hal.device.target<"local"> : !hal.device
  util.global private @ga : !stream.resource<constant>
  util.global private @gb : !stream.resource<constant>
  util.global private @gc : !stream.resource<constant>
  util.initializer {
    %n = arith.constant 1024 : index
    %z = arith.constant 0 : i64
    %z64 = arith.constant 64 : i64
    %scope = util.buffer.constant : !util.buffer = "model"
    %ka = util.buffer.constant : !util.buffer = "a"
    %kb = util.buffer.constant : !util.buffer = "b"
    %kc = util.buffer.constant : !util.buffer = "c"
    %r:3, %t = stream.cmd.parameter.load on(#hal.device.affinity<@d>) {
      %scope::%ka[%z] : !stream.resource<constant>{%n},
      %scope::%kb[%z64] : !stream.resource<constant>{%n},
      %scope::%kc[%z] : !stream.resource<constant>{%n}
    } => !stream.timepoint
    %w:3 = stream.timepoint.await %t => %r#2, %r#0, %r#1 : !stream.resource<constant>{%n},
      !stream.resource<constant>{%n}, !stream.resource<constant>{%n}
    util.global.store %w#0, @gc : !stream.resource<constant>
    util.global.store %w#1, @ga : !stream.resource<constant>
    util.global.store %w#2, @gb : !stream.resource<constant>
    util.return
  }
  util.func public @main(%x: !stream.resource<external>) -> (!stream.timepoint, !hal.buffer_view) {
    %n = arith.constant 1024 : index
    %h = arith.constant 512 : index
    %o = arith.constant 0 : index
    %a = util.global.load immutable @ga : !stream.resource<constant>
    %b = util.global.load immutable @gb : !stream.resource<constant>
    %c = util.global.load immutable @gc : !stream.resource<constant>
    %v = stream.tensor.export on(#hal.device.affinity<@d>) %c : tensor<256xf32>
      in !stream.resource<constant>{%n} -> !hal.buffer_view
    %t = stream.cmd.execute on(#hal.device.affinity<@d>) with(
        %a as %pa: !stream.resource<constant>{%n}, %x as %px: !stream.resource<external>{%n},
        %b as %pb: !stream.resource<constant>{%n}, %c as %pc: !stream.resource<constant>{%n}) {
      stream.cmd.dispatch @e::@f {
        ro %pa[%o for %n] : !stream.resource<constant>{%n},
        wo %px[%o for %n] : !stream.resource<external>{%n}
      }
      stream.cmd.concurrent {
        stream.cmd.dispatch @e::@f {
          ro %pb[%o for %n] : !stream.resource<constant>{%n},
          wo %px[%o for %n] : !stream.resource<external>{%n}
        }
        stream.cmd.dispatch @e::@f {
          ro %pb[%h for %h] : !stream.resource<constant>{%n},
          ro %pc[%o for %n] : !stream.resource<constant>{%n},
          wo %px[%o for %n] : !stream.resource<external>{%n}
        }
      }
    } => !stream.timepoint
    util.return %t, %v : !stream.timepoint, !hal.buffer_view
  }
}
"""


def test_weights_and_what_reads_them() -> None:
    uses = weight_uses(MODULE)
    assert [unit.weights for unit in uses.units] == [("a",), ("b",), ("b", "c")]
    assert [unit.group is None for unit in uses.units] == [True, False, False]
    facts = {w.name: (w.size_bytes, w.source_offset, w.must_stay) for w in uses.weights.values()}
    assert facts == {"a": (1024, 0, False), "b": (1024, 64, False), "c": (1024, 0, True)}


def test_the_problem_has_a_step_for_each_dispatch() -> None:
    problem = problem_of(MODULE, Speeds())
    assert [w.uses for w in sorted(problem.weights, key=lambda w: w.name)] == [(0,), (1, 2), (2,)]
    assert problem.smallest_budget_bytes == 2048


def test_a_weight_that_an_initializer_computes_with_must_stay() -> None:
    computing = """
    %more = stream.cmd.execute on(#hal.device.affinity<@d>) await(%t) => with(
        %r#0 as %p: !stream.resource<constant>{%n}) {
      stream.cmd.dispatch @e::@f { ro %p[%n for %n] : !stream.resource<constant>{%n} }
    } => !stream.timepoint
    %w:3 ="""
    uses = weight_uses(MODULE.replace("%w:3 =", computing))
    assert [uses.weights[name].must_stay for name in "abc"] == [True, False, True]


def test_a_plan_becomes_gathers_and_steps() -> None:
    """Just in time: b is read in two steps, so it is loaded twice; c stays."""
    problem = problem_of(MODULE, Speeds())
    text = emit(MODULE, Coarse(problem, (1, 1, 1)), naive.just_in_time(problem))
    module = phase_ir.parse(text).operation
    gathers = list(phase_ir.named(module, "stream.cmd.parameter.gather"))
    executes = list(phase_ir.named(module, "stream.cmd.execute"))
    assert len(gathers) == len(executes) == 3
    keys = [phase_ir.string(phase_ir.defining_op(g.operands[1]), "value") for g in gathers]
    assert keys == ["a", "b", "b"]
    offsets = [phase_ir.constant_int(phase_ir.operand_groups(g)[2][0]) for g in gathers]
    assert offsets == [0, 64, 64]
    assert [phase_ir.symbol(g) for g in phase_ir.named(module, "util.global")] == ["d", "gc"]
    (load,) = phase_ir.named(module, "stream.cmd.parameter.load")
    assert len(load.results) == 2
    for gather, execute in zip(gathers, executes, strict=True):
        wait = phase_ir.operand_groups(execute)[2][0]
        joined = phase_ir.defining_op(wait)
        assert gather.results[0] in list(joined.operands)
    last = next(phase_ir.named(executes[-1], "stream.cmd.dispatch"))
    assert phase_ir.constant_int(phase_ir.operand_groups(last)[4][0]) == 512


def test_an_initializer_that_waits_for_more_still_does() -> None:
    """All its weights move, but not what it makes itself."""
    text = MODULE.replace("ro %pc[%o for %n] : !stream.resource<constant>{%n},", "").replace(
        "%w:3 = stream.timepoint.await %t =>",
        """%made, %t2 = stream.resource.alloca uninitialized on(#hal.device.affinity<@d>)
          : !stream.resource<constant>{%n} => !stream.timepoint
        %both = stream.timepoint.join max(%t, %t2) => !stream.timepoint
        %w:3 = stream.timepoint.await %both =>""",
    )
    text = text.replace("%r#2, %r#0, %r#1", "%made, %r#0, %r#1").replace("%r:3,", "%r:2,")
    text = text.replace("{%n},\n      %scope::%kc[%z] : !stream.resource<constant>{%n}", "{%n}")
    problem = problem_of(text, Speeds())
    module = phase_ir.parse(emit(text, Coarse(problem, (1, 1, 1)), naive.just_in_time(problem)))
    assert not list(phase_ir.named(module.operation, "stream.cmd.parameter.load"))
    (store,) = phase_ir.named(module.operation, "util.global.store")
    assert phase_ir.symbol_ref(store.attributes["global"]) == ("gc",)


def test_dispatches_of_one_step_still_run_beside_each_other() -> None:
    problem = problem_of(MODULE, Speeds())
    coarse = coarsen(problem, 16 * problem.total_bytes)
    assert coarse.counts == (3,)
    text = emit(MODULE, coarse, naive.just_in_time(coarse.problem))
    module = phase_ir.parse(text)
    (execute,) = phase_ir.named(module.operation, "stream.cmd.execute")
    (group,) = phase_ir.named(execute, "stream.cmd.concurrent")
    assert len(list(phase_ir.named(group, "stream.cmd.dispatch"))) == 2


def test_kernels_of_another_model_are_refused() -> None:
    problem = problem_of(MODULE, Speeds())
    other = MODULE.replace('"a"', '"z"')
    with pytest.raises(CompileError, match="do not belong"):
        emit(other, Coarse(problem, (1, 1, 1)), naive.just_in_time(problem))


SUM = """
    %e = tensor.empty() : tensor<4xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>,
        affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}
      ins(%x0 : tensor<4x8xf32>) outs(%e : tensor<4xf32>) {
    ^bb0(%a: f32, %o: f32):
      %s = arith.addf %a, %o : f32
      linalg.yield %s : f32
    } -> tensor<4xf32>
"""
MATMUL = """
    %e = tensor.empty() : tensor<4x2xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>,
        affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
        iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x0, %x1 : tensor<4x8xf32>, tensor<8x2xf32>) outs(%e : tensor<4x2xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %o, %p : f32
      linalg.yield %s : f32
    } -> tensor<4x2xf32>
"""
DOUBLE = bodies.elementwise(
    [("%x0", "4x8xf32")],
    "4x8xf32",
    """
      %s = arith.addf %a, %a : f32
      linalg.yield %s : f32""",
)


@pytest.mark.parametrize(
    ("text", "kind", "flops"),
    [
        (bodies.module(["4x8xf32", "8x2xf32"], "4x2xf32", MATMUL), "reusable", 128),
        (bodies.module(["4x8xf32"], "4xf32", SUM), "hierarchical", 64),
        (bodies.module(["4x8xf32"], "4x8xf32", DOUBLE), "elemental", 32),
    ],
)
def test_kernels_are_sorted_by_what_they_bear(text: str, kind: str, flops: int) -> None:
    module = phase_ir.parse(text)
    work = work_of(next(phase_ir.named(module.operation, "func.func")))
    assert (work.kind, work.flops) == (kind, flops)
