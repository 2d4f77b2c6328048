"""Find dispatches that IREE 3.13's SPIR-V code generator is known to miscompile, before they run.

The input is the text of configured executables (``iree-compile
--compile-to=executable-configurations``): bodies are linalg on tensors and carry the pipeline and
the tile sizes IREE chose.

* ``race`` (an error, the dispatch must be rewritten). The ``BaseDistribute`` pipeline deals each
  op's loops to the invocations by that op's own loop order and puts no barrier between the ops of
  a dispatch. A root op whose loops run over its result in another order than memory therefore
  reads what another invocation wrote:

      fill (c, h, w); conv (h, w, c) -> result (c, h, w), tile [2, 4, 8]    x: w in fill, c in conv

  That shows once two or more of the result's loops have a workgroup tile other than 1, and with
  more than three parallel loops whatever the tile is. Loops in memory order are right, four of
  them (a batch) included: compared with a CPU build on software Vulkan for four targets.
* ``reduction`` (an error). The ``SubgroupReduce`` pipeline hands out the elements of a reduction to
  the invocations of a workgroup. Over one loop that is right; over several (a window and its
  channels) some elements are summed twice or not at all: a 4x4 stride-4 convolution from 3 to 24
  channels, 24 invocations, is off by 0.8. Every reduction over more than one loop is flagged.
* ``misaligned`` (a risk). The load/store vectoriser of every other pipeline retypes a buffer to
  vec2/vec4 after looking at the innermost *size* only and rounds the innermost *offset* down: a
  slice at column 1 lands in column 0. Flagged is a slice whose innermost size in memory is even
  and whose innermost offset is not a multiple of 4 or not known. A hit is a risk: some
  flagged dispatches compute correctly.

Two more kinds come from ``workgroups.py``, about drivers: ``workgroup`` (an error) is a shape that
the target avoids and that cannot be changed, ``kept`` one of a dispatch that sums nothing, and
``reshaped`` one that was changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.element_flow import LOAD, STORE
from smartmem.passes.iree.phase_ir import Op, ir

_SCALAR_PIPELINE = "BaseDistribute"
_SUBGROUP_PIPELINE = "SubgroupReduce"
_VECTOR_LANES = 4
_LOOPS_ALWAYS_WRONG = 4


@dataclass(frozen=True)
class Finding:
    """One dispatch that is wrong (``race``, ``reduction``), would be on some driver
    (``workgroup``), may be (``misaligned``) or was changed (``reshaped``), and why.
    """

    dispatch: str
    kind: Literal["race", "reduction", "misaligned", "workgroup", "kept", "reshaped"]
    detail: str

    @property
    def is_error(self) -> bool:
        """Whether the dispatch must not be run."""
        return self.kind in ("race", "reduction", "workgroup")


def scan(configured_ir: str) -> tuple[Finding, ...]:
    """Findings in the text of configured executables; raises ``ValueError`` on bad text."""
    module = phase_ir.parse(configured_ir)
    functions = phase_ir.named(module.operation, "func.func")
    return tuple(found for function in functions for found in _scan_function(function))


def _scan_function(function: Op) -> Iterator[Finding]:
    pipeline = phase_ir.spirv_pipeline(function)
    if pipeline is None:
        return
    if pipeline == _SCALAR_PIPELINE:
        yield from _races(function)
        return
    if pipeline == _SUBGROUP_PIPELINE:
        yield from _reductions(function)
    yield from _misaligned(function, pipeline)


def _reductions(function: Op) -> Iterator[Finding]:
    for op in phase_ir.walk(function):
        if phase_ir.workgroup_tile(op) is None:
            continue
        extents = phase_ir.loop_extents(op)
        loops = [
            loop
            for loop, kind in enumerate(phase_ir.iterator_types(op))
            if kind == "reduction" and extents.get(loop) != 1
        ]
        if len(loops) > 1:
            detail = f"{op.name} reduces over loops {loops} in pipeline {_SUBGROUP_PIPELINE}"
            yield Finding(phase_ir.symbol(function), "reduction", detail)


def _races(function: Op) -> Iterator[Finding]:
    ops = [
        op
        for op in phase_ir.walk(function)
        if op.name.startswith(("linalg.", "iree_linalg_ext.")) and len(op.results)
    ]
    tensor_ops = [op for op in ops if phase_ir.tensor_type(op.results[0].type) is not None]
    if len(tensor_ops) < 2:
        return
    for op in tensor_ops:
        detail = _disorder(op)
        if detail is not None:
            yield Finding(
                phase_ir.symbol(function),
                "race",
                f"{op.name}: {detail}; {len(tensor_ops)} ops in the dispatch",
            )


def _disorder(root: Op) -> str | None:
    """How a root op's loop order makes it race; None when it does not, or is no root."""
    tile = phase_ir.workgroup_tile(root)
    maps = phase_ir.affine_maps(root)
    if tile is None or not maps:
        return None
    order = [e.position for e in maps[-1].results if isinstance(e, ir.AffineDimExpr)]
    if order == sorted(order):
        return None
    tiled = [loop for loop in order if loop >= len(tile) or tile[loop] != 1]
    if tiled != sorted(tiled):
        return (
            f"the result is loops {order}, tiled {tile}: several tiled loops, out of memory order"
        )
    if len(order) >= _LOOPS_ALWAYS_WRONG:
        return f"the result is loops {order}: {len(order)} parallel loops, out of memory order"
    return None


def _misaligned(function: Op, pipeline: str) -> Iterator[Finding]:
    for op in phase_ir.walk(function):
        if op.name not in (LOAD, STORE):
            continue
        stored = phase_ir.tensor_type(op.operands[0 if op.name == LOAD else 1].type)
        offsets = phase_ir.int_array(op, "static_offsets")
        if stored is None or not offsets or stored.is_dynamic_dim(stored.rank - 1):
            continue
        column, columns = offsets[-1], stored.shape[-1]
        unknown = column == ir.ShapedType.get_dynamic_stride_or_offset()
        if columns % 2 == 0 and (unknown or column % _VECTOR_LANES):
            access = "load" if op.name == LOAD else "store"
            start = "an unknown column" if unknown else f"column {column}"
            detail = f"{access} of a slice at {start} of {columns} in pipeline {pipeline}"
            yield Finding(phase_ir.symbol(function), "misaligned", detail)
