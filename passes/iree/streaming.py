"""From IREE's IR to a streaming problem, and from its plan back into the IR.

The problem is read where kernels still are linalg ops, in the stream phase; the plan is written
after the kernels are translated to SPIR-V or LLVM's IR (phase ``executable-targets``), where the
function that dispatches them is still in the stream dialect. So another budget means another plan
around the same kernels.
"""

from collections.abc import Iterator
from math import prod

from smartmem.errors import CompileError
from smartmem.passes.iree import phase_ir, traffic
from smartmem.passes.iree.phase_ir import Op
from smartmem.passes.iree.stream_weights import stream_weights
from smartmem.passes.iree.weight_uses import Unit, WeightUses, weight_uses
from smartmem.passes.rules.loads import Kind, Speeds, Work, capacity_bytes, time_us
from smartmem.passes.streaming.coarsen import Coarse
from smartmem.passes.streaming.for_executor import told, told_with_plan
from smartmem.passes.streaming.plan import Plan
from smartmem.passes.streaming.problem import Problem, Step, Weight
from smartmem.passes.streaming.record import Record
from smartmem.runtime.schedule import decode
from smartmem.runtime.stream_file import StreamFile

# Weights are loaded in multiples of it: small beside any budget worth having, large beside what one
# request to the file costs.
_CHUNK_BYTES = 1 << 18
_CONTRACTIONS = ("matmul", "conv", "contract", "mmt4d", "matvec", "vecmat")


def problem_of(stream_ir: str, speeds: Speeds) -> Problem:
    """One step for each dispatch, copy and fill of a stream-phase module, and its weights.

    Raises ValueError on bad text.
    """
    uses = weight_uses(stream_ir)
    bodies = {phase_ir.symbol(op): op for op in phase_ir.named(uses.module, "func.func")}
    known: dict[str, Work] = {}
    executes = uses.executes
    steps = tuple(
        _step(unit, bodies, known, speeds, executes.index(unit.execute)) for unit in uses.units
    )
    read: dict[str, list[int]] = {name: [] for name in uses.weights}
    for number, unit in enumerate(uses.units):
        for name in unit.weights:
            read[name].append(number)
    weights = tuple(
        Weight(
            name,
            held.size_bytes,
            tuple(read[name]) or (0,),
            held.must_stay or not read[name],
        )
        for name, held in uses.weights.items()
    )
    nothing = Step("main", "elemental", 0.0, 0)
    return Problem(steps or (nothing,), weights, speeds.read_bytes_per_s, _CHUNK_BYTES)


def keys_of(stream_ir: str) -> dict[str, str]:
    """The archive's entry of each weight of ``problem_of`` that is an entry by itself, by name."""
    return {w.name: w.key for w in weight_uses(stream_ir).weights.values() if w.source_offset == 0}


def told_for(schedule: bytes, stream_ir: str, planned: Problem | Record) -> StreamFile | None:
    """What our executor is told of streaming; None where nothing is known of its commands."""
    count, keys = len(decode(schedule).commands), keys_of(stream_ir)
    if isinstance(planned, Record):
        return told_with_plan(planned, count, keys)
    return told(planned, count, keys)


def emit(translated: str, coarse: Coarse, plan: Plan) -> str:
    """The text of phase ``executable-targets`` with a plan for ``coarse`` written into it; as it is
    where nothing moves.

    Raises CompileError where the module is not the one that the problem was read from.
    """
    if not plan.residencies:
        return translated
    uses = weight_uses(translated)
    if sum(coarse.counts) != len(uses.units) or not _agree(uses, coarse.problem):
        raise CompileError("the compiled kernels do not belong to the streaming plan")
    units = iter(uses.units)
    steps = [[next(units) for _ in range(count)] for count in coarse.counts]
    return stream_weights(uses, steps, plan)


def _agree(uses: WeightUses, problem: Problem) -> bool:
    sizes = {name: held.size_bytes for name, held in uses.weights.items()}
    return sizes == {w.name: w.size_bytes for w in problem.weights}


def _step(
    unit: Unit,
    bodies: dict[str, Op],
    known: dict[str, Work],
    speeds: Speeds,
    section: int,
) -> Step:
    name = unit.op.name.rpartition(".")[2]
    work = Work("elemental", 0.0, 0)
    if unit.op.name == "stream.cmd.dispatch":
        name = phase_ir.symbol_ref(next(iter(unit.op.attributes["entry_points"])))[-1]
        if name in bodies and name not in known:
            known[name] = work_of(bodies[name])
        work = known.get(name, work)
    time, capacity = time_us(work, speeds), capacity_bytes(work, speeds)
    return Step(name, work.kind, time, capacity, section)


def work_of(function: Op) -> Work:
    """What a dispatch function does, by its linalg ops."""
    moved = traffic.measure(function)
    flops = sum(_flops(op) for op in phase_ir.walk(function))
    return Work(_kind(function), flops, moved.read_bytes + moved.written_bytes)


def _flops(op: Op) -> float:
    """Two for each step of a reduction, one for each element without; 0 where sizes are unknown."""
    loops = phase_ir.iterator_types(op)
    extents = phase_ir.loop_extents(op)
    if not loops or len(extents) != len(loops):
        return 0.0
    return float(prod(extents.values()) * (2 if "reduction" in loops else 1))


def _kind(function: Op) -> Kind:
    """The most sensitive of what was fused: the kernel as a whole bears no more than that."""
    kinds = set(_kinds(function))
    if "hierarchical" in kinds:
        return "hierarchical"
    return "reusable" if "reusable" in kinds else "elemental"


def _kinds(function: Op) -> Iterator[Kind]:
    for op in phase_ir.walk(function):
        if any(name in op.name for name in _CONTRACTIONS) or phase_ir.is_sum_of_products(op):
            yield "reusable"
        elif "reduction" in phase_ir.iterator_types(op) or op.name.startswith("iree_linalg_ext."):
            yield "hierarchical"
