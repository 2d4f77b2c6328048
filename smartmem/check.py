"""What compiling a model would give: the passes run, iree-compile does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from smartmem.errors import UnsupportedError, UnsupportedOp

if TYPE_CHECKING:
    import torch

    from smartmem.frontend.narrow import NarrowOp
    from smartmem.frontend.program import Program
    from smartmem.passes.rules.slow import SlowOp
    from smartmem.passes.target import Target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TargetCheck:
    """What is known of one target before compiling; ``needs`` is empty for a CPU.

    ``dispatches_estimate`` and ``peak_transient_bytes_estimate`` are estimates
    (``passes/analysis/estimate.py`` says of what and how good), the other numbers are exact.
    """

    target: str
    needs: Mapping[str, Any]
    weights_bytes: int
    peak_transient_bytes_estimate: int
    dispatches_estimate: int
    largest_tensor_bytes: int
    slow: tuple[SlowOp, ...]


@dataclass(frozen=True)
class CheckReport:
    """``unsupported`` holds all that cannot be taken; with any, ``targets`` is empty. ``narrow``:
    calls whose int64 results wrap where they need more than 32 bits.
    """

    unsupported: tuple[UnsupportedOp, ...]
    graph_ops: int
    layout_ops_in_graph: int
    targets: tuple[TargetCheck, ...]
    narrow: tuple[NarrowOp, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the model would compile."""
        return not self.unsupported

    def as_json(self) -> dict[str, Any]:
        """Plain data; targets by name."""
        data = asdict(self)
        data["targets"] = {row.pop("target"): row for row in data["targets"]}
        return {"ok": self.ok, **data}


def check(
    source: torch.nn.Module | torch.export.ExportedProgram,
    example_inputs: tuple[Any, ...],
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    targets: tuple[str, ...] = ("cpu",),
    progress: Progress = lambda _: None,
) -> CheckReport:
    """What ``smartmem.compile`` would make of the model for these targets.

    Raises UserError for a model that cannot be exported and for an unknown target, UnsupportedError
    for what no place alone is to blame for (a dynamic shape); ops, inputs and control flow that are
    not supported are in the report.
    """
    from smartmem.dialects import layout
    from smartmem.frontend.export import export
    from smartmem.frontend.importer import import_program
    from smartmem.frontend.narrow import narrow_ops
    from smartmem.passes.target import resolve

    resolved = [resolve(name) for name in dict.fromkeys(targets)]
    progress("exporting")
    with layout.context():
        try:
            exported = export(source, example_inputs, example_kwargs)
            progress("importing into the layout dialect")
            program = import_program(exported)
        except UnsupportedError as error:
            if not error.rows:
                raise
            return CheckReport(tuple(error.rows), 0, 0, ())
        text = program.module.operation.get_asm(enable_debug_info=True)
        checks = tuple(_check_target(text, program, target, progress) for target in resolved)
    return CheckReport(
        (), program.graph_ops, program.layout_ops, checks, narrow=narrow_ops(exported)
    )


def _check_target(text: str, program: Program, target: Target, progress: Progress) -> TargetCheck:
    from smartmem.dialects._mlir import ir
    from smartmem.dialects.layout.weights import archive_entries
    from smartmem.passes import pipeline
    from smartmem.passes.analysis.estimate import estimate
    from smartmem.passes.iree.requirements import requirements
    from smartmem.passes.rules.slow import Facts, slow_ops

    progress(f"{target.name}: laying out")
    module = ir.Module.parse(text)
    pipeline.run(pipeline.layout_passes(target.kind), module)
    cost = estimate(module, target.kind, target.kernels.row_lanes if target.kernels else 1)
    asked = requirements(target)
    facts = Facts(
        kind=target.kind,
        shared_memory_bytes=asked.limits.get("shared_memory_bytes", 0) if asked else 0,
        max_buffer_bytes=target.max_buffer_bytes,
        stores_16_bits=asked.stores_16_bits if asked else False,
    )
    needs: dict[str, Any] = {}
    if asked:
        needs = {
            **asdict(asked),
            "max_buffer_bytes": target.max_buffer_bytes,
            "source": f"iree-compile's target '{target.iree_target}' (kernels use a part of it); "
            "max_buffer_bytes: passes/targets, else the least that Vulkan allows",
        }
    return TargetCheck(
        target=target.name,
        needs=needs,
        weights_bytes=sum(e.size_bytes(program.weights) for e in archive_entries(module)),
        peak_transient_bytes_estimate=cost.peak_transient_bytes,
        dispatches_estimate=cost.dispatches,
        largest_tensor_bytes=cost.largest_tensor_bytes,
        slow=tuple(slow_ops(module, facts)),
    )
