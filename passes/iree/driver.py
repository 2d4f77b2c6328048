"""The one place that runs iree-compile: linalg in, stream-phase IR, then a vmfb; with a guard in
between.

    lowered module --compile-to=stream--> stream IR (counted, kernels configured)
        --compile-from=stream--> model.vmfb                                               (cpu)
        --compile-to=executable-targets--> schedule --> model.vmfb and SPIR-V modules     (vulkan)

A separate process, so that a crash of the compiler is an error message with a reproducer, not the
user's crash.
"""

import errno
import io
import json
import logging
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache as cached
from importlib.metadata import version
from pathlib import Path
from typing import Any

from smartmem.errors import CompileError, os_error
from smartmem.passes.iree.cache import Cache, key_of
from smartmem.passes.iree.configure import configure
from smartmem.passes.iree.scan import Finding, scan_folder
from smartmem.passes.iree.schedule import Program, Unschedulable, read_program
from smartmem.passes.iree.textures import bind_weights_as_texels, texel_bytes
from smartmem.passes.rules.kernels import KernelConfig
from smartmem.passes.target import Target, unknown_target
from smartmem.runtime.schedule import FORMAT_VERSION

logger = logging.getLogger(__name__)

# With less room than a page the temporary folder is full, whatever iree-compile says of it.
_FULL_BYTES = 4096


@dataclass(frozen=True)
class Compiled:
    """``stream_ir`` is what was counted, ``module`` what runs, ``kernels`` the dispatches we
    configured; seconds by phase.
    """

    stream_ir: str
    module: "Module"
    kernels: dict[str, KernelConfig]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Module:
    """``vmfb`` runs in IREE's runtime; ``schedule`` and its ``spirv``, by file name, in ours.

    ``findings`` is what may be miscompiled; ``unschedulable`` says why there is no schedule,
    ``texels`` how much of the weights that schedule reads as texels.
    """

    vmfb: bytes
    findings: tuple[Finding, ...] = ()
    schedule: bytes | None = None
    spirv: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    unschedulable: str = ""
    texels: Mapping[str, Any] = field(default_factory=dict[str, Any])


@cached
def _compiler() -> Path:
    from iree.compiler.tools.binaries import find_tool

    return Path(find_tool("iree-compile"))


def _identity(target: Target, extra: Sequence[str]) -> list[str]:
    """All that the output depends on besides the input."""
    parts = [f"iree-base-compiler {version('iree-base-compiler')}", *target.flags, *extra]
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
    """Stream-phase IR of a lowered module."""
    return compile_to("stream", lowered, target, cache)


def compile_to(phase: str, source: str, target: Target, cache: Cache) -> str:
    """IR of a module at one of iree-compile's phases, as text."""
    # Locations are the only way back from a dispatch to the model's Python line.
    extra = [f"--compile-to={phase}", "--mlir-print-debuginfo"]
    parts = _identity(target, extra)
    key = key_of(source, parts)
    held = cache.get(key)
    if held is None:
        with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
            held = _run(source, target, extra, Path(folder), f"{phase}.mlir").read_bytes()
        cache.put(key, held, parts)
    return held.decode()


def compile_executables(stream_ir: str, target: Target, cache: Cache) -> Module:
    """What runs, of a stream-phase module."""
    extra = ["--compile-from=stream"]
    parts = [*_identity(target, extra), f"schedule {FORMAT_VERSION}", f"storage {target.storage}"]
    key = key_of(stream_ir, parts)
    held = cache.get(key)
    if held is not None:
        return _unpacked(held)
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        where = Path(folder)
        if target.kind == "vulkan":
            made = _compile_vulkan(stream_ir, target, where)
        else:
            made = Module(_run(stream_ir, target, extra, where, "model.vmfb").read_bytes())
    cache.put(key, _packed(made), parts)
    return made


def _compile_vulkan(stream_ir: str, target: Target, where: Path) -> Module:
    """The kernels once, for the guard against IREE's known miscompiles and for both executors."""
    to_targets = [
        "--compile-from=stream",
        "--compile-to=executable-targets",
        "--iree-hal-dump-executable-configurations-to=configured",
    ]
    targets_ir = _run(stream_ir, target, to_targets, where, "targets.mlir").read_text("utf-8")
    vmfb, binary = _serialize(targets_ir, target, where, "plain")
    findings = scan_folder(where / "configured")
    facts: dict[str, Any] = {}
    try:
        program = read_program(targets_ir, binary)
        if target.storage == "texel":
            program, facts = _with_texels(targets_ir, program, target, where)
    except Unschedulable as reason:
        logger.info("no schedule for our executor: %s", reason)
        return Module(vmfb, findings, unschedulable=str(reason))
    return Module(vmfb, findings, program.schedule.encode(), program.kernels, texels=facts)


def _with_texels(
    targets_ir: str, plain: Program, target: Target, where: Path
) -> tuple[Program, dict[str, Any]]:
    """The program whose kernels read weights as texels, and how much of them for the report."""
    textured = bind_weights_as_texels(targets_ir, plain.schedule)
    _, binary = _serialize(textured.targets_ir, target, where, "texels")
    program = read_program(targets_ir, binary, textured.formats)
    texels, constants = texel_bytes(program.schedule)
    return program, {"bytes": texels, "of_bytes": constants, "kept_as_buffers": textured.kept}


def _serialize(
    targets_ir: str, target: Target, where: Path, name: str
) -> tuple[bytes, Callable[[str, str], bytes]]:
    """The vmfb of an executable-targets module, and its SPIR-V by executable and entry."""
    flags = [
        "--compile-from=executable-targets",
        f"--iree-hal-dump-executable-binaries-to={name}",
    ]
    vmfb = _run(targets_ir, target, flags, where, f"{name}.vmfb").read_bytes()

    def binary(executable: str, entry: str) -> bytes:
        return (where / name / f"module_{executable}_{entry}.spv").read_bytes()

    return vmfb, binary


def _packed(module: Module) -> bytes:
    """A module as one value for the cache."""
    facts = {
        "findings": [asdict(f) for f in module.findings],
        "unschedulable": module.unschedulable,
        "texels": module.texels,
    }
    files = {f"spirv/{name}": code for name, code in module.spirv.items()}
    files |= {"vmfb": module.vmfb, "facts": json.dumps(facts).encode()}
    if module.schedule is not None:
        files["schedule"] = module.schedule
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _unpacked(value: bytes) -> Module:
    with zipfile.ZipFile(io.BytesIO(value)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    facts = json.loads(files["facts"])
    return Module(
        files["vmfb"],
        tuple(Finding(**row) for row in facts["findings"]),
        files.get("schedule"),
        {n.removeprefix("spirv/"): c for n, c in files.items() if n.startswith("spirv/")},
        facts["unschedulable"],
        facts["texels"],
    )


def compile_module(lowered: str, target: Target, cache: Cache | None = None) -> Compiled:
    """A lowered module (text) compiled for ``target``.

    Raises CompileError where iree-compile fails, or where it built a kernel it is known to build
    wrong.
    """
    store = Cache.default() if cache is None else cache
    started = time.perf_counter()
    stream_ir = compile_stream(lowered, target, store)
    middle = time.perf_counter()
    module, kernels = _with_kernels(stream_ir, target, store)
    ended = time.perf_counter()
    errors = [f for f in module.findings if f.is_error]
    if errors:
        rows = "\n".join(f"  {f.dispatch}: {f.kind}: {f.detail}" for f in errors)
        raise CompileError(
            f"IREE built kernels for target {target.name} in a form known to give wrong numbers "
            f"(docs/iree-miscompiles.md), so nothing was written:\n{rows}"
        )
    seconds = {"iree_stream": middle - started, "iree_codegen": ended - middle}
    return Compiled(stream_ir, module, kernels, seconds)


def _with_kernels(
    stream_ir: str, target: Target, store: Cache
) -> tuple[Module, dict[str, KernelConfig]]:
    """The module with our kernel configurations; with IREE's own where it cannot build ours."""
    if target.kernels is None:
        return compile_executables(stream_ir, target, store), {}
    configured = configure(stream_ir, target.kernels)
    try:
        return compile_executables(configured.stream_ir, target, store), configured.kernels
    except CompileError as error:
        if not configured.kernels:
            raise
        logger.warning("IREE cannot build our kernels; it chooses all of them itself: %s", error)
        return compile_executables(stream_ir, target, store), {}
