"""Give dispatches that IREE configured itself another workgroup where the target avoids theirs.

Our own configurations never have a shape that the target avoids (``rules/kernels.py``); IREE knows
no such list. So its choice is edited in the *executable-configurations* phase, where every dispatch
carries one and has no code yet:

    workgroup_size = [8, 8, 1], tile_sizes = [[0, 4, 8, 32], [1, 4, 1, 4], ...]
    ==>
    workgroup_size = [8, 4, 2], tile_sizes = [[0, 8, 4, 32], [1, 4, 1, 4], ...]

The root op keeps what each thread holds as far as the loops allow (``rules/workgroups.py``). What
cannot be dealt otherwise is a finding that refuses the module: a dispatch with several configured
ops, or one whose threads do not follow from its tiles. Copies and ops on single elements keep their
workgroup then (``kept``).
"""

from collections.abc import Collection
from dataclasses import dataclass

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.phase_ir import Op
from smartmem.passes.iree.scan import Finding
from smartmem.passes.rules.workgroups import Dealt, Shape, redeal, shape_of

_THREAD_LOOPS = 3
# Those that sum nothing; of generic ops their loops tell.
_NO_SUMS = {f"linalg.{name}" for name in ("generic", "fill", "copy", "transpose", "yield", "index")}


@dataclass(frozen=True)
class Reshaped:
    """The edited IR, and what was done or could not be done, by dispatch."""

    configured_ir: str
    findings: tuple[Finding, ...] = ()


def reshape(configured_ir: str, avoided: Collection[Shape]) -> Reshaped:
    """Configured executables without avoided workgroups; raises ``ValueError`` on bad text."""
    if not avoided:
        return Reshaped(configured_ir)
    module = phase_ir.parse(configured_ir)
    findings: list[Finding] = []
    for function in phase_ir.named(module.operation, "func.func"):
        size = phase_ir.workgroup_size(function)
        if size not in avoided:
            continue
        other = _dealt_otherwise(function, avoided)
        name, chosen = phase_ir.symbol(function), f"IREE chose a workgroup of {_text(size)}"
        if other is None:
            detail = f"{chosen}, which the target avoids; its loops suit no other"
            # What is reported of drivers is about products.
            kind = "workgroup" if _computes(function) else "kept"
            findings.append(Finding(name, kind, detail))
        else:
            detail = f"{chosen}, which the target avoids: now {_text(other)}"
            findings.append(Finding(name, "reshaped", detail))
    if not findings:
        return Reshaped(configured_ir)
    return Reshaped(module.operation.get_asm(enable_debug_info=True), tuple(findings))


def _dealt_otherwise(function: Op, avoided: Collection[Shape]) -> Shape | None:
    """The shape that the function has now; None where it has to keep its own."""
    roots = [op for op in phase_ir.walk(function) if phase_ir.tile_levels(op)]
    if len(roots) != 1:
        return None
    (root,) = roots
    loops = _loops(root)
    if not loops or shape_of(list(loops.values())) != phase_ir.workgroup_size(function):
        return None
    others = redeal(list(loops.values()), avoided)
    if others is None:
        return None
    outer, held, *rest = phase_ir.tile_levels(root)
    for loop, dealt in zip(loops, others, strict=True):
        outer[loop] = dealt.held * dealt.threads
        held[loop] = dealt.held
    phase_ir.set_tile_levels(root, [outer, held, *rest])
    shape = shape_of(others)
    phase_ir.set_workgroup_size(function, shape)
    return shape


def _computes(function: Op) -> bool:
    """Whether a dispatch sums or compares several elements: named ops are taken to do so."""
    ops = [op for op in phase_ir.walk(function) if op.name.startswith(("linalg.", "iree_linalg_"))]
    return any("reduction" in phase_ir.iterator_types(op) or op.name not in _NO_SUMS for op in ops)


def _loops(root: Op) -> dict[int, Dealt]:
    """The loops that IREE deals to x, y, z, by number, innermost first: the last three that have a
    tile for threads and are not summed over. Empty where the op has no such tiles.
    """
    levels = phase_ir.tile_levels(root)
    if len(levels) < 2 or not root.results:
        return {}
    outer, held = levels[:2]
    # Named ops print no maps; the loops of all of them begin with the result's, in its order.
    kinds, extents = phase_ir.iterator_types(root), phase_ir.loop_extents(root)
    extents = extents or dict(enumerate(phase_ir.shape_of(root.results[0].type) or ()))
    loops = [
        loop
        for loop in range(min(len(outer), len(held)))
        if held[loop] and loop in extents and (not kinds or kinds[loop] == "parallel")
    ]
    return {
        loop: Dealt(extents[loop], held[loop], (outer[loop] or extents[loop]) // held[loop])
        for loop in reversed(loops[-_THREAD_LOOPS:])
    }


def _text(shape: Collection[int]) -> str:
    return "x".join(map(str, shape))
