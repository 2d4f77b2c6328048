"""Another budget for a compiled model: a new plan around the kernels that it has.

    model.smartmem (translated.mlir.xz, plan.json) ──► planner ──► passes/iree/ ──► other.smartmem

No kernel is built again: what SPIR-V or LLVM's IR they are stays as it is, and so does what they
compute. The archive is shared, where the disk can.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smartmem.compiler import CompiledModel, Progress
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.bundle_writer import BundleWriter


def replan(
    path: str | Path,
    budget: str | int,
    *,
    out: str | Path,
    targets: Sequence[str] = (),
    progress: Progress | None = None,
) -> CompiledModel:
    """Writes the model at ``path`` to ``out`` with its weights moving within ``budget``.

    ``targets``: only these of the model's; all that were compiled with a budget without it.

    Raises UserError for a budget that no plan can keep, and where a target was compiled without a
    budget.
    """
    from smartmem.passes.iree.driver import stream
    from smartmem.passes.iree.streaming import told_for
    from smartmem.passes.streaming.record import Record
    from smartmem.passes.target import resolve
    from smartmem.runtime.budget import parse_budget

    wanted = parse_budget(budget)
    bundle = Bundle.open(path)
    show: Progress = progress or (lambda _: None)
    names = targets or [n for n, e in bundle.manifest.targets.items() if e.is_streamed]
    reports: dict[str, dict[str, Any]] = {}
    with BundleWriter(out) as writer:
        writer.share_weights(bundle)
        for name in names or sorted(bundle.manifest.targets):
            show(f"{name}: planning")
            translated, plan = bundle.translated(name), bundle.plan(name)
            held = Record.from_json(plan["streaming"])
            vmfb, made = stream(translated, held.problem, wanted, resolve(name))
            reports[name] = {**bundle.report(name), "streaming": made.record.summary()}
            entry = bundle.manifest.targets[name]
            program = bundle.program(name) if entry.schedule is not None else None
            dispatches = bundle.dispatches(name)
            writer.add_target(
                name,
                kind=entry.kind,
                iree_target=entry.iree_target,
                vmfb=vmfb,
                plan={**plan, "streaming": made.record.to_json()},
                report=reports[name],
                needs=entry.needs,
                translated=translated,
                dispatches=dispatches,
                schedule=program and program[0],
                kernels=program and program[1],
                stream=program and told_for(program[0], dispatches, made.record),
                budget_bytes=made.record.budget_bytes,
                fast_math=entry.fast_math,
                precision=entry.precision,
            )
        manifest = writer.finish(
            **{
                name: getattr(bundle.manifest, name)
                for name in ("inputs", "outputs", "input_tree", "output_tree", "versions", "source")
            }
        )
    return CompiledModel(Path(out), manifest, reports, writer.dropped)
