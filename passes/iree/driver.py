"""The one place that runs iree-compile: linalg in, stream-phase IR, then a vmfb; with a guard in
between.

    lowered module --compile-to=stream--> stream IR (counted, kernels configured)
        or, where a target wants products in other shapes: --compile-to=flow--> flow IR (shaped)
        --compile-from=flow --compile-to=stream--> the same
        --compile-from=stream--> model.vmfb                                               (cpu)
        --compile-to=executable-targets--> schedule --> model.vmfb and SPIR-V modules     (vulkan)

Under a budget the streaming plan is written at the joint of the second line, for both kinds:

    stream IR --compile-to=executable-targets--> translated kernels, function as it was
        --compile-from=executable-targets--> model.vmfb

A separate process, so that a crash of the compiler is an error message with a reproducer, not the
user's crash.
"""

import errno
import json
import logging
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache as cached
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from smartmem.errors import CompileError, os_error
from smartmem.passes.iree import artefact
from smartmem.passes.iree.activation_images import binding_shapes
from smartmem.passes.iree.artefact import Module
from smartmem.passes.iree.cache import Cache, key_of
from smartmem.passes.iree.configure import Configured, configure
from smartmem.passes.iree.conformance import check_kernels
from smartmem.passes.iree.environment import parse
from smartmem.passes.iree.in_place import share
from smartmem.passes.iree.resources import Unschedulable
from smartmem.passes.iree.scan import Finding, scan
from smartmem.passes.iree.schedule import Program, read_kernels, read_program
from smartmem.passes.iree.shape_products import shape_products
from smartmem.passes.iree.streaming import emit, problem_of, told_for
from smartmem.passes.iree.tensors import apart
from smartmem.passes.iree.textures import bind_as_texels, storage_facts
from smartmem.passes.iree.workgroups import reshape
from smartmem.passes.rules.kernels import KernelConfig
from smartmem.passes.rules.textures import Packing
from smartmem.passes.streaming.planner import check_budget
from smartmem.passes.streaming.problem import Problem
from smartmem.passes.streaming.record import Record, plan_for
from smartmem.passes.target import Target, unknown_target
from smartmem.runtime.budget import Budget
from smartmem.runtime.schedule import FORMAT_VERSION, Kernel, Schedule
from smartmem.runtime.stream_file import StreamFile

T = TypeVar("T")
Packings = Mapping[str, Packing]

# The phase where IREE has chosen pipelines, tiles and workgroups, and has made no code of them.
_CONFIGURED = "executable-configurations"
# The phase where kernels are SPIR-V or LLVM's IR, and the function around them is not changed yet.
_TRANSLATED = "executable-targets"
# What a GPU may ask of the offset of a bound range: minStorageBufferOffsetAlignment is 16 to 64 on
# those we know.
_OFFSET_BYTES = 64

logger = logging.getLogger(__name__)

# With less room than a page the temporary folder is full, whatever iree-compile says of it.
_FULL_BYTES = 4096


@dataclass(frozen=True)
class Compiled:
    """``stream_ir`` is what was counted, ``module`` what runs, ``kernels`` the dispatches we
    configured, ``tuned`` how many of them by what was measured; seconds by phase; ``streamed``
    where there was a budget; ``told``: of streaming, to our executor.
    """

    stream_ir: str
    module: Module
    kernels: dict[str, KernelConfig]
    seconds: dict[str, float]
    tuned: int
    streamed: "Streamed | None" = None
    told: StreamFile | None = None


@dataclass(frozen=True)
class Translated:
    """A module with its kernels translated and the function around them as it was (``text``)."""

    text: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Streamed:
    """How the weights of a module move, and the kernels that stay the same under another plan."""

    translated: str
    record: Record


@cached
def _compiler() -> Path:
    from iree.compiler.tools.binaries import find_tool

    return Path(find_tool("iree-compile"))


def _identity(target: Target, extra: Sequence[str]) -> list[str]:
    """All that the output depends on besides the input."""
    parts = [f"iree-base-compiler {version('iree-base-compiler')}", *target.flags, *extra]
    if target.avoided_workgroups:
        parts.append(f"products without workgroups of {target.avoided_workgroups}")
    return [*parts, _processor()] if target.iree_target == "host" else parts


@cached
def _processor() -> str:
    """What 'host' means here: the processor's features, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("flags", "Features", "model name")
    return "\n".join(next((line for line in lines if line.startswith(w)), "") for w in wanted)


def _run(source: str, target: Target, extra: Sequence[str], where: Path, out: str) -> Path:
    """Run iree-compile in ``where``; the path of ``out`` there.

    Raises CompileError with a reproducer folder.
    """
    (where / "input.mlir").write_text(source, encoding="utf-8")
    command = ["iree-compile", "input.mlir", *target.flags, *extra, "-o", out]
    result = subprocess.run(
        [str(_compiler()), *command[1:]], cwd=where, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        if shutil.disk_usage(where).free < _FULL_BYTES:
            raise os_error(OSError(errno.ENOSPC, "no space left for iree-compile", str(where)))
        if "Unknown Vulkan target" in result.stderr:
            raise unknown_target(target.name)
        raise _failure(source, command, target, result)
    return where / out


def _failure(
    source: str, command: Sequence[str], target: Target, result: subprocess.CompletedProcess[str]
) -> CompileError:
    folder = Path(tempfile.mkdtemp(prefix="smartmem-reproducer-"))
    (folder / "input.mlir").write_text(source, encoding="utf-8")
    (folder / "command.sh").write_text(shlex.join(command) + "\n", encoding="utf-8")
    (folder / "stderr.txt").write_text(result.stderr, encoding="utf-8")
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    first = errors[0] if errors else (result.stderr.strip().splitlines() or ["no message"])[-1]
    reason = f"iree-compile failed for target {target.name} (exit {result.returncode}): {first}"
    return CompileError(reason, reproducer=folder)


def compile_stream(lowered: str, target: Target, cache: Cache) -> str:
    """Stream-phase IR of a lowered module, its products in the shapes that the target wants."""
    if target.kernels is None or target.kernels.products is None:
        return compile_to("stream", lowered, target, cache)
    flow_ir = compile_to("flow", lowered, target, cache)
    shaped = shape_products(flow_ir, target.kernels)
    return compile_to("stream", shaped.flow_ir, target, cache, source_phase="flow")


def compile_to(
    phase: str, source: str, target: Target, cache: Cache, *, source_phase: str | None = None
) -> str:
    """IR of a module at one of iree-compile's phases, as text; ``source_phase``: that of the
    source, where it is one of them.
    """
    # Locations are the only way back from a dispatch to the model's Python line.
    extra = [f"--compile-to={phase}", "--mlir-print-debuginfo"]
    extra += [f"--compile-from={source_phase}"] if source_phase else []
    parts = _identity(target, extra)
    key = key_of(source, parts)
    held = cache.get(key)
    if held is None:
        with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
            held = _run(source, target, extra, Path(folder), f"{phase}.mlir").read_bytes()
        cache.put(key, held, parts)
    return held.decode()


def compile_whole(source: str, target: Target, cache: Cache) -> bytes:
    """The vmfb of a module that needs nothing of ours."""
    parts = _identity(target, ["whole"])
    key = key_of(source, parts)
    held = cache.get(key)
    if held is None:
        with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
            held = _run(source, target, [], Path(folder), "whole.vmfb").read_bytes()
        cache.put(key, held, parts)
    return held


def compile_executables(stream_ir: str, target: Target, cache: Cache, packings: Packings) -> Module:
    """What runs, of a stream-phase module; ``packings`` of its weights, by the archive's entry."""
    extra = ["--compile-from=stream"]
    parts = [
        *_identity(target, extra),
        f"schedule {FORMAT_VERSION} apart in place",
        f"storage {target.storage}",
    ]
    if target.storage != "buffer":
        parts += [
            "activation images",
            f"chooses {target.chooses_storage}",
            str(target.textures),
            *(f"{name} {how}" for name, how in packings.items()),
        ]
    key = key_of(stream_ir, parts)
    held = cache.get(key)
    if held is not None:
        return artefact.unpacked(held)
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        where = Path(folder)
        if target.kind == "vulkan":
            made = _compile_vulkan(stream_ir, target, where, packings)
        else:
            made = Module(_run(stream_ir, target, extra, where, "model.vmfb").read_bytes())
    cache.put(key, artefact.packed(made), parts)
    return made


def _compile_vulkan(stream_ir: str, target: Target, where: Path, packings: Packings) -> Module:
    """The kernels once, for the guard against IREE's known miscompiles and for both executors."""
    targets_ir, findings = _translate(stream_ir, target, where)
    vmfb, binary = _serialize(targets_ir, target, where, "plain")
    facts: dict[str, Any] = {}
    try:
        program = read_program(targets_ir, binary)
        if not _is_aligned(program.schedule):
            # IREE's runtime binds without a look. Ours asks the device, and may refuse.
            vmfb, more = _compile_merged(stream_ir, target, where)
            findings += more
        if target.storage != "buffer":
            images = (packings, binding_shapes(stream_ir)) if target.storage == "image" else ()
            program, facts = _with_textures(targets_ir, program, target, where, *images)
    except Unschedulable as reason:
        logger.info("no schedule for our executor: %s", reason)
        return Module(vmfb, findings, unschedulable=str(reason))
    program = share(targets_ir, replace(program, schedule=apart(program.schedule)))
    return Module(vmfb, findings, program.schedule.encode(), program.kernels, textures=facts)


def _translate(stream_ir: str, target: Target, where: Path) -> tuple[str, tuple[Finding, ...]]:
    """A stream-phase module with its kernels translated for a Vulkan ``target``, and what the guard
    found in their configurations.
    """
    flags = ["--compile-from=stream", f"--compile-to={_CONFIGURED}", "--mlir-print-debuginfo"]
    chosen = _run(stream_ir, target, flags, where, "configured.mlir").read_text("utf-8")
    reshaped = reshape(chosen, target.avoided_workgroups)
    findings = (*reshaped.findings, *scan(reshaped.configured_ir))
    flags = [f"--compile-from={_CONFIGURED}", f"--compile-to={_TRANSLATED}"]
    translated = _run(reshaped.configured_ir, target, flags, where, "targets.mlir")
    return translated.read_text("utf-8"), findings


def _is_aligned(schedule: Schedule) -> bool:
    """Whether any GPU can bind each range that a kernel is given."""
    uses = (use for dispatch in schedule.dispatches for use in dispatch.uses)
    return all(use.offset % _OFFSET_BYTES == 0 for use in uses)


def _compile_merged(
    stream_ir: str, target: Target, where: Path
) -> tuple[bytes, tuple[Finding, ...]]:
    """The vmfb with kernels that add offsets themselves, and what the guard found in them."""
    merging = replace(target, merges_bindings=True)
    targets_ir, findings = _translate(stream_ir, merging, where)
    return _serialize(targets_ir, merging, where, "merged")[0], findings


def _with_textures(
    targets_ir: str, plain: Program, target: Target, where: Path, *images: Any
) -> tuple[Program, dict[str, Any]]:
    """The program whose kernels read texels, and how much of what they read for the report;
    ``images`` are the weights' packings and the bindings' shapes, where there shall be any.
    """
    limits = target.textures
    if not target.chooses_storage:
        limits = replace(limits, buffer_bytes_per_ns=0.0)
    textured = bind_as_texels(targets_ir, apart(plain.schedule), limits, *images)
    _, binary = _serialize(textured.targets_ir, target, where, "textured")
    program = read_program(targets_ir, binary, textured.bindings)
    return program, storage_facts(apart(program.schedule), textured)


def _serialize(
    targets_ir: str, target: Target, where: Path, name: str
) -> tuple[bytes, Callable[[str, str], bytes]]:
    """The vmfb of an executable-targets module, and its SPIR-V by executable and entry.

    Raises CompileError where that uses what the target does not offer.
    """
    flags = [
        f"--compile-from={_TRANSLATED}",
        f"--iree-hal-dump-executable-binaries-to={name}",
    ]
    vmfb = _run(targets_ir, target, flags, where, f"{name}.vmfb").read_bytes()
    modules = {path.stem: path.read_bytes() for path in sorted((where / name).glob("*.spv"))}
    check_kernels(modules, parse(targets_ir), target.name)

    def binary(executable: str, entry: str) -> bytes:
        return (where / name / f"module_{executable}_{entry}.spv").read_bytes()

    return vmfb, binary


def translate(stream_ir: str, target: Target, cache: Cache) -> Translated:
    """The kernels of a stream-phase module, and what the guard found in them, for ``link``."""
    extra = ["--compile-from=stream", f"--compile-to={_TRANSLATED}"]
    parts = _identity(target, extra)
    key = key_of(stream_ir, parts)
    held, findings_text = cache.get(key), cache.get(f"{key}.findings")
    if held is not None and findings_text is not None:
        return Translated(held.decode(), tuple(Finding(**row) for row in json.loads(findings_text)))
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        where = Path(folder)
        if target.kind == "vulkan":
            text, findings = _translate(stream_ir, target, where)
        else:
            made = _run(stream_ir, target, extra, where, "translated.mlir")
            text, findings = made.read_text("utf-8"), ()
    cache.put(key, text.encode(), parts)
    cache.put(f"{key}.findings", json.dumps([asdict(f) for f in findings]).encode(), parts)
    return Translated(text, findings)


def link(translated: str, target: Target) -> bytes:
    """The vmfb of what ``translate`` gave, its function edited or not."""
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        if target.kind == "vulkan":
            return _serialize(translated, target, Path(folder), "linked")[0]
        extra = [f"--compile-from={_TRANSLATED}"]
        return _run(translated, target, extra, Path(folder), "model.vmfb").read_bytes()


def compile_kernels(
    executables: str, target: Target, bindings: int, words: int
) -> dict[str, tuple[Kernel, bytes, tuple[int, int, int]]]:
    """By executable, the kernels of a stream-phase module of executables only, for a Vulkan
    ``target``; what the guard finds wrong is left out.

    Raises CompileError where iree-compile fails on any of them.
    """
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        where = Path(folder)
        text, findings = _translate(executables, target, where)
        _, binary = _serialize(text, target, where, "kernels")
        wrong = {f.dispatch for f in findings if f.is_error}
        found = read_kernels(text, binary, bindings, words)
    return {name: row for name, row in found.items() if row[0].entry not in wrong}


def compile_module(
    lowered: str,
    target: Target,
    cache: Cache | None = None,
    budget: Budget | None = None,
    packings: Packings | None = None,
) -> Compiled:
    """A lowered module (text) compiled for ``target``; its weights stream where there is a budget,
    and lie in textures as ``packings`` say.

    Raises CompileError where iree-compile fails, or where it built a kernel it is known to build
    wrong; UserError for a budget that no plan can keep.
    """
    store = Cache.default() if cache is None else cache
    started = time.perf_counter()
    stream_ir = compile_stream(lowered, target, store)
    middle = time.perf_counter()
    streamed: Streamed | None = None
    is_vulkan = target.kind == "vulkan"
    problem = problem_of(stream_ir, target.speeds) if is_vulkan or budget else None
    if budget is not None and problem is not None:
        check_budget(problem, budget.of(problem.total_bytes))
    module, configured = Module(b""), Configured(stream_ir, {})
    if budget is None or is_vulkan:
        build = partial(compile_executables, packings=packings or {})
        module, configured = _with_kernels(build, stream_ir, target, store)
    if budget is not None and problem is not None:
        # The slots of IREE's plan begin anywhere.
        merging = replace(target, merges_bindings=is_vulkan)
        translated, configured = _with_kernels(translate, stream_ir, merging, store)
        vmfb, streamed = stream(translated.text, problem, budget, merging)
        findings = tuple(dict.fromkeys(module.findings + translated.findings))
        module = replace(module, vmfb=vmfb, findings=findings)
    ended = time.perf_counter()
    errors = [f for f in module.findings if f.is_error]
    if errors:
        rows = "\n".join(f"  {f.dispatch}: {f.kind}: {f.detail}" for f in errors)
        raise CompileError(
            f"IREE built kernels for target {target.name} in a form known to give wrong numbers "
            "(docs/iree-miscompiles.md; workgroups: docs/android.md), so nothing was written:\n"
            + rows
        )
    seconds = {"iree_stream": middle - started, "iree_codegen": ended - middle}
    kernels, tuned = configured.kernels, configured.tuned
    hints = None
    if module.schedule is not None and problem is not None:
        hints = told_for(module.schedule, stream_ir, streamed.record if streamed else problem)
    return Compiled(stream_ir, module, kernels, seconds, tuned, streamed, hints)


def stream(
    translated: str, problem: Problem, budget: Budget, target: Target
) -> tuple[bytes, Streamed]:
    """A vmfb whose weights move within ``budget``, around kernels that are there already.

    Raises UserError for a budget that no plan can keep.
    """
    record = plan_for(problem, budget)
    vmfb = link(emit(translated, record.coarse, record.plan), target)
    return vmfb, Streamed(translated, record)


def _with_kernels(
    build: Callable[[str, Target, Cache], T], stream_ir: str, target: Target, store: Cache
) -> tuple[T, Configured]:
    """What is built with our kernel configurations; with IREE's own where it cannot build ours."""
    if target.kind == "cpu":
        return build(stream_ir, target, store), Configured(stream_ir, {})
    # Those without which a dispatch cannot be built, on any target.
    avoided = target.avoided_workgroups
    needed = configure(stream_ir, None, avoided=avoided)
    if target.kernels is None:
        return build(needed.stream_ir, target, store), needed
    configured = configure(stream_ir, target.kernels, target.tuned, avoided)
    try:
        return build(configured.stream_ir, target, store), configured
    except CompileError as error:
        if configured.kernels == needed.kernels:
            raise
        logger.warning("IREE cannot build our kernels; it chooses all of them itself: %s", error)
        return build(needed.stream_ir, target, store), needed
