"""A PyTorch model becomes a folder that runs: export, import, passes, IREE, archive, bundle.

    frontend/  ──►  layout dialect  ──►  passes/  ──►  linalg  ──►  passes/iree/  ──►  vmfb
                                                                weights ──► weights.irpa

The order is here and nowhere else; each step lives in its own room.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.precision import check_holds_halves, check_precision
from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.manifest import Manifest, Precision
from smartmem.timings import remember

if TYPE_CHECKING:
    import torch

    from smartmem.dialects.archive import ArchiveEntry
    from smartmem.frontend.program import Program
    from smartmem.passes.base import PassReport
    from smartmem.passes.iree.artefact import Module
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.iree.driver import Compiled
    from smartmem.passes.moves import Move
    from smartmem.passes.rules.textures import Packing
    from smartmem.passes.select_precision import SelectPrecisionPass
    from smartmem.passes.target import Storage, Target
    from smartmem.runtime.budget import Budget

Progress = Callable[[str], None]
# The name of a pass, and the MLIR module that it left.
AfterPass = Callable[[str, Any], None]

_VERSIONED = ("smartmem", "torch", "torch-mlir", "iree-base-compiler")


@dataclass(frozen=True)
class CompiledModel:
    """Where the artefact lies, its manifest, and one report per target (keys: docs/cli.md).

    ``dropped``: targets that ``path`` held before, of another model or of other versions.
    ``entries``: what the archive holds, where this wrote it.
    """

    path: Path
    manifest: Manifest
    reports: dict[str, dict[str, Any]]
    dropped: tuple[str, ...] = ()
    entries: tuple[ArchiveEntry, ...] = ()


@dataclass
class _Clock:
    """Seconds by phase."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def phase(self, name: str, message: str) -> Generator[None]:
        self.progress(message)
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class _TargetBuild:
    target: Target
    compiled: Compiled
    entries: list[ArchiveEntry]
    reports: list[PassReport]
    layouts: list[dict[str, Any]]
    fusion: list[dict[str, Any]]
    textures: dict[str, Packing]
    moves: list[Move]
    seconds: dict[str, float]
    fast_math: bool
    precision: dict[str, Any] | None


def compile_model(
    source: torch.nn.Module | torch.export.ExportedProgram,
    example_inputs: tuple[Any, ...],
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    targets: Sequence[str] = ("cpu",),
    out: str | Path,
    progress: Progress | None = None,
    cache: Cache | None = None,
    disabled_passes: Sequence[str] = (),
    storage: Storage = "buffer",
    budget: str | int | None = None,
    fast_math: bool = False,
    precision: Precision = "fp32",
    keep_fp32: Sequence[str] = (),
    after_pass: AfterPass | None = None,
    tuning: str | Path = "auto",
) -> CompiledModel:
    """Compile ``source`` for the shapes of its example inputs and write the artefact to ``out``.

    ``targets`` are names as ``smartmem compile --target`` takes them. ``cache`` holds what
    iree-compile made before (by default the user's cache folder; ``Cache(None)`` compiles afresh).
    ``disabled_passes``: names of passes to leave out (``pipeline.optional_passes``). ``storage``:
    how our executor's kernels read tensors on Vulkan, as "buffer", "texel", "image" or, by target,
    "auto". ``budget`` bounds the memory for weights (bytes, ``"512MiB"``, ``"50%"`` of them): what
    does not fit is read from the archive in each run. Without it all weights are loaded once and
    stay. ``fast_math``: arithmetic may be rewritten in ways that change rounding, or that assume
    that nothing overflows (docs/rewriting.md). ``precision``: "fp16" holds float32 tensors and
    weights as halves where their values allow it (docs/precision.md), less those of modules whose
    path matches one of the patterns ``keep_fp32`` (``decoder.*``). ``after_pass`` is called after
    each pass with its name and the module that it left. ``tuning``: where tiles of kernels come
    from that were measured (docs/kernels.md): "auto", "off", or a file of ``smartmem tune``.

    Raises UserError for a model that cannot be exported, a budget that it cannot keep or a target
    without halves, UnsupportedError with a table of all unsupported ops, CompileError where IREE
    fails (a reproducer is kept), DeviceError where ``vulkan`` names no device.
    """
    from smartmem.dialects import layout
    from smartmem.frontend.export import export
    from smartmem.frontend.importer import import_program
    from smartmem.passes import pipeline
    from smartmem.passes.target import resolve, with_tuning
    from smartmem.runtime.budget import parse_budget

    pipeline.check_disabled(disabled_passes)
    check_precision(precision, keep_fp32)
    wanted = None if budget is None else parse_budget(budget)
    resolved = {
        name: with_tuning(resolve(name, storage), tuning) for name in dict.fromkeys(targets)
    }
    if precision == "fp16":
        for target in resolved.values():
            check_holds_halves(target, cache)
    clock = _Clock(progress or (lambda _: None))
    with clock.phase("export", "exporting"):
        exported = export(source, example_inputs, example_kwargs)
    with layout.context():
        with clock.phase("import", "importing into the layout dialect"):
            program = import_program(exported)
            text = program.module.operation.get_asm(enable_debug_info=True)
            # What the model computes, without Python lines; printing needs the context.
            module_hash = hashlib.sha256(program.module.operation.get_asm().encode()).hexdigest()
        choose = _precision_pass(program, keep_fp32) if precision == "fp16" else None
        builds = [
            _build(
                text,
                t,
                clock.progress,
                cache,
                disabled_passes,
                wanted,
                fast_math=fast_math,
                precision=choose,
                after=after_pass,
            )
            for t in _distinct(resolved.values())
        ]
    return _write(Path(out), program, module_hash, builds, clock)


def stream_module(
    source: torch.nn.Module | torch.export.ExportedProgram,
    example_inputs: tuple[Any, ...],
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    target: Target,
    cache: Cache | None = None,
) -> str:
    """The stream-phase IR of ``source`` for one target: its dispatches, before any has code.

    Raises what ``compile_model`` raises.
    """
    from smartmem.dialects import layout
    from smartmem.frontend.export import export
    from smartmem.frontend.importer import import_program
    from smartmem.passes import pipeline
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.iree.driver import compile_stream

    exported = export(source, example_inputs, example_kwargs)
    with layout.context():
        module = import_program(exported).module
        pipeline.run(pipeline.layout_passes(target.kind, target.name), module)
        pipeline.run(pipeline.lowering_passes(target.kind, target.kernels), module)
        lowered = module.operation.get_asm(enable_debug_info=True)
    return compile_stream(lowered, target, Cache.default() if cache is None else cache)


def _precision_pass(program: Program, keep: Sequence[str]) -> SelectPrecisionPass:
    from smartmem.dialects.layout.weights import archive_entry
    from smartmem.passes.rules.precision import Values
    from smartmem.passes.select_precision import SelectPrecisionPass

    return SelectPrecisionPass(
        lambda op: Values(archive_entry(op).held(program.weights)), tuple(keep)
    )


def _distinct(targets: Any) -> list[Target]:
    return list({t.name: t for t in targets}.values())


def _build(
    text: str,
    target: Target,
    progress: Progress,
    cache: Cache | None,
    disabled: Sequence[str],
    budget: Budget | None,
    *,
    fast_math: bool,
    precision: SelectPrecisionPass | None,
    after: AfterPass | None,
) -> _TargetBuild:
    """One target: its own copy of the module through all passes and IREE."""
    from smartmem.dialects._mlir import ir
    from smartmem.dialects.layout.weights import archive_entries
    from smartmem.passes import moves, pack_textures, pipeline, select_precision
    from smartmem.passes.analysis.kernels import edges
    from smartmem.passes.iree.driver import compile_module
    from smartmem.passes.plan import tensor_layouts

    clock = _Clock(progress)
    with clock.phase("passes", f"{target.name}: laying out"):
        module = ir.Module.parse(text)
        found = moves.number(module)
        laying_out = pipeline.layout_passes(
            target.kind, target.name, fast_math=fast_math, precision=precision
        )
        reports = pipeline.run(pipeline.without(laying_out, disabled), module, after)
        entries = archive_entries(module)
        layouts = tensor_layouts(module)
        textures = pack_textures.packings(module)
        held = select_precision.summary(module) if precision else None
        traced = moves.trace(found, module, target.kind)
        fusing = pipeline.fusing_passes(target.kind, target.kernels)
        reports += pipeline.run(pipeline.without(fusing, disabled), module, after)
        lanes = target.kernels.row_lanes if target.kernels else 1
        fusion = [edge.as_row() for edge in edges(module, target.kind, lanes)]
        reports += pipeline.run(pipeline.final_passes(target.kind), module, after)
        lowered = module.operation.get_asm(enable_debug_info=True)
    progress(f"{target.name}: iree-compile")
    compiled = compile_module(lowered, target, cache, budget, textures)
    seconds = {**clock.seconds, **compiled.seconds}
    return _TargetBuild(
        target,
        compiled,
        entries,
        reports,
        layouts,
        fusion,
        textures,
        traced,
        seconds,
        fast_math,
        held,
    )


def _write(
    out: Path,
    program: Program,
    module_hash: str,
    builds: Sequence[_TargetBuild],
    clock: _Clock,
) -> CompiledModel:
    entries = {e.name: e for build in builds for e in build.entries}
    reports: dict[str, dict[str, Any]] = {}
    with BundleWriter(out) as writer:
        with clock.phase("weights", "writing the weights"):
            writer.write_weights({n: e.packed(program.weights) for n, e in entries.items()})
        for build in builds:
            report = _report(program, build)
            streamed = build.compiled.streamed
            seconds = {**clock.seconds, **build.seconds}
            remember(hashlib.sha256(build.compiled.module.vmfb).hexdigest(), seconds)
            reports[build.target.name] = {**report, "compile_seconds": seconds}
            writer.add_target(
                build.target.name,
                kind=build.target.kind,
                iree_target=build.target.iree_target,
                vmfb=build.compiled.module.vmfb,
                needs=_needs(build.compiled.module),
                schedule=build.compiled.module.schedule,
                kernels=build.compiled.module.spirv,
                translated=streamed.translated if streamed else None,
                dispatches=build.compiled.stream_ir,
                stream=build.compiled.told,
                budget_bytes=streamed.record.budget_bytes if streamed else None,
                plan={
                    "layouts": build.layouts,
                    "fusion": build.fusion,
                    "weights": [e.name for e in build.entries],
                    "textures": {n: asdict(p) for n, p in build.textures.items()},
                    "kernels": {n: asdict(k) for n, k in build.compiled.kernels.items()},
                    **({"streaming": streamed.record.to_json()} if streamed else {}),
                },
                report=report,
                fast_math=build.fast_math,
                precision="fp32" if build.precision is None else "fp16",
            )
        manifest = writer.finish(
            inputs=program.inputs,
            outputs=program.outputs,
            input_tree=program.input_tree,
            output_tree=program.output_tree,
            versions={name: version(name) for name in _VERSIONED},
            source={"graph_ops": program.graph_ops, "module_sha256": module_hash},
        )
    return CompiledModel(out, manifest, reports, writer.dropped, tuple(entries.values()))


def _needs(module: Module) -> dict[str, Any]:
    """What our executor needs of a device; nothing is known where it cannot run the module."""
    from smartmem.passes.iree.needs import needs_of
    from smartmem.runtime.schedule import decode

    if module.schedule is None:
        return {}
    return needs_of(decode(module.schedule), module.spirv)


def _tuning(build: _TargetBuild) -> dict[str, Any]:
    """The database that was used, by its hash, and for how many dispatches it had tiles."""
    known = build.target.tuned
    return {"database": known.digest if known else "", "dispatches": build.compiled.tuned}


def _report(program: Program, build: _TargetBuild) -> dict[str, Any]:
    from smartmem.passes import moves
    from smartmem.passes.iree.count import count

    counts = count(build.compiled.stream_ir)
    streamed = build.compiled.streamed
    used = {e.name: e for e in build.entries}
    findings = [asdict(finding) for finding in build.compiled.module.findings]
    return {
        "graph_ops": program.graph_ops,
        "layout_ops_in_graph": program.layout_ops,
        **counts.to_json(),
        "weights_bytes": sum(e.size_bytes(program.weights) for e in used.values()),
        "passes": [{"name": r.name, **r.gains} for r in build.reports],
        "unschedulable": build.compiled.module.unschedulable,
        "transformations": moves.as_json(moves.settle(build.moves, counts.table)),
        "storage": {
            "weights": build.target.storage,
            "auto": build.target.chooses_storage,
            **build.compiled.module.textures,
        },
        "tuning": _tuning(build),
        **({"precision": build.precision} if build.precision else {}),
        "miscompile_risks": [row for row in findings if row["kind"] != "reshaped"],
        "reshaped_workgroups": [row for row in findings if row["kind"] == "reshaped"],
        **({"streaming": streamed.record.summary()} if streamed else {}),
    }
