"""The one place that runs iree-compile: linalg in, stream-phase IR, then a vmfb; with a guard in
between.

    lowered module --compile-to=stream--> stream IR (counted, kernels configured)
        --compile-from=stream--> model.vmfb

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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache as cached
from importlib.metadata import version
from pathlib import Path

from smartmem.errors import CompileError, os_error
from smartmem.passes.iree.cache import Cache, key_of
from smartmem.passes.iree.configure import configure
from smartmem.passes.iree.scan import Finding, scan_folder
from smartmem.passes.rules.kernels import KernelConfig
from smartmem.passes.target import Target, unknown_target

logger = logging.getLogger(__name__)

# With less room than a page the temporary folder is full, whatever iree-compile says of it.
_FULL_BYTES = 4096


@dataclass(frozen=True)
class Compiled:
    """``stream_ir`` is what was counted, ``vmfb`` what runs, ``kernels`` the dispatches we
    configured, ``findings`` what may be miscompiled; seconds by phase.
    """

    stream_ir: str
    vmfb: bytes
    kernels: dict[str, KernelConfig]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]


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


def compile_vmfb(stream_ir: str, target: Target, cache: Cache) -> tuple[bytes, tuple[Finding, ...]]:
    """The module, and on Vulkan what the guard against IREE's known miscompiles found in its
    kernels.
    """
    scanned = target.kind == "vulkan"
    extra = ["--compile-from=stream"]
    dump = ["--iree-hal-dump-executable-configurations-to=configured"] if scanned else []
    parts = _identity(target, extra)
    key = key_of(stream_ir, parts)
    held, findings_text = cache.get(key), cache.get(f"{key}.findings")
    if held is not None and findings_text is not None:
        return held, tuple(Finding(**row) for row in json.loads(findings_text))
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        where = Path(folder)
        held = _run(stream_ir, target, [*extra, *dump], where, "model.vmfb").read_bytes()
        findings = scan_folder(where / "configured") if scanned else ()
    cache.put(key, held, parts)
    cache.put(f"{key}.findings", json.dumps([asdict(f) for f in findings]).encode(), parts)
    return held, findings


def compile_module(lowered: str, target: Target, cache: Cache | None = None) -> Compiled:
    """A lowered module (text) compiled for ``target``.

    Raises CompileError where iree-compile fails, or where it built a kernel it is known to build
    wrong.
    """
    store = Cache.default() if cache is None else cache
    started = time.perf_counter()
    stream_ir = compile_stream(lowered, target, store)
    middle = time.perf_counter()
    vmfb, findings, kernels = _with_kernels(stream_ir, target, store)
    ended = time.perf_counter()
    errors = [f for f in findings if f.is_error]
    if errors:
        rows = "\n".join(f"  {f.dispatch}: {f.kind}: {f.detail}" for f in errors)
        raise CompileError(
            f"IREE built kernels for target {target.name} in a form known to give wrong numbers "
            f"(docs/iree-miscompiles.md), so nothing was written:\n{rows}"
        )
    seconds = {"iree_stream": middle - started, "iree_codegen": ended - middle}
    return Compiled(stream_ir, vmfb, kernels, findings, seconds)


def _with_kernels(
    stream_ir: str, target: Target, store: Cache
) -> tuple[bytes, tuple[Finding, ...], dict[str, KernelConfig]]:
    """The module with our kernel configurations; with IREE's own where it cannot build ours."""
    if target.kernels is None:
        return *compile_vmfb(stream_ir, target, store), {}
    configured = configure(stream_ir, target.kernels)
    try:
        return *compile_vmfb(configured.stream_ir, target, store), configured.kernels
    except CompileError as error:
        if not configured.kernels:
            raise
        logger.warning("IREE cannot build our kernels; it chooses all of them itself: %s", error)
        return *compile_vmfb(stream_ir, target, store), {}
