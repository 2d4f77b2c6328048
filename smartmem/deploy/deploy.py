"""A compiled model to an Android device and a measured row back.

    check the phone ─► push the program ─► check the GPU ─► push the model ─► compare ─► measure

What cannot run is told before the model is sent; a time is told only beside right answers.
"""

from __future__ import annotations

import json
import math
import secrets
import shlex
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.arrays import save_outputs
from smartmem.benchmarks.bench.results import Row, Status, commit
from smartmem.benchmarks.bench.task import Failure
from smartmem.deploy import sync
from smartmem.deploy.adb import Adb
from smartmem.deploy.cases import Case, compare
from smartmem.deploy.checks import Check, gpu_checks, phone_checks, program_check, require
from smartmem.deploy.phone import PLACE, Phone, probe
from smartmem.deploy.programs import Effort, Measured, OurProgram, Program, Step
from smartmem.errors import DeviceError, MismatchError
from smartmem.runtime.dtypes import dtype_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smartmem.runtime.manifest import TensorSpec
    from smartmem.verify import OutputComparison

Progress = Callable[[str], None]
HOME = f"{PLACE}/smartmem"
_PROGRAMS = f"{HOME}/bin"
# Beyond the program's own limit: starting it, and adb.
_GRACE_S = 30.0
_HEAD_BYTES = 64
# What a shell answers for a program that a signal ended, and what `timeout` does.
_SIGNALLED = 128
_KILLED = _SIGNALLED + signal.SIGKILL
_TIMED_OUT = 124


@dataclass(frozen=True)
class Checked:
    """What a device is, what its GPU offers, and each need of a model beside what it has."""

    phone: Phone
    gpu: Mapping[str, Any]
    checks: Sequence[Check]
    pushed_bytes: int

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "phone": asdict(self.phone),
            "gpu": dict(self.gpu),
            "checks": [asdict(check) for check in self.checks],
            "pushed_bytes": self.pushed_bytes,
        }


@dataclass(frozen=True)
class Deployed:
    """What became of it: a row of `smartmem bench`, and all that is known beside it."""

    row: Row
    checked: Checked
    outputs: Sequence[OutputComparison] = ()
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        """All but the row."""
        return {
            **self.checked.to_json(),
            "outputs": [row.as_json() for row in self.outputs],
            **self.details,
        }


def deploy(
    adb: Adb,
    program: Program,
    cases: Sequence[Case],
    effort: Effort,
    *,
    results: Path | None = None,
    remove: bool = False,
    progress: Progress = lambda _: None,
) -> Deployed:
    """Runs ``program`` with its model on the device.

    The model and the program stay there for the next time unless ``remove``; inputs and results
    go in any case. ``results`` is where the outputs of the first case are written.
    Raises DeviceError where the device is lost or cannot run the model.
    """
    run_folder = f"{HOME}/run-{secrets.token_hex(4)}"
    try:
        checked = check(adb, program, progress)
        require(adb.serial, checked.checks)
        model = f"{HOME}/models/{program.bundle.path.name}"
        pushed = checked.pushed_bytes + sync.push(adb, program.model_files(), model, progress)
        with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
            run = _Run(adb, program, run_folder, model, Path(folder), effort, progress)
            row, outputs, details = _measured(run, cases, checked.gpu, results)
        return Deployed(row, replace(checked, pushed_bytes=pushed), outputs, details)
    finally:
        _clean(adb, [run_folder, *([HOME] if remove else [])])


def check(adb: Adb, program: Program, progress: Progress = lambda _: None) -> Checked:
    """What the device has beside what the model needs. The program is pushed to ask the GPU, but
    only to a phone that can run it.
    """
    progress(f"checking {adb.serial}")
    phone = probe(adb)
    checks = _check_phone(phone, program)
    if not all(found.ok for found in checks):
        return Checked(phone, {}, checks, 0)
    pushed = sync.push(adb, program.programs(), _PROGRAMS, progress)
    adb.checked(f"chmod +x {_PROGRAMS}/*")
    gpu = _gpu(adb, program)
    checks += gpu_checks(gpu.get("offers", {}), _needs(program)) if gpu else []
    return Checked(phone, gpu, checks, pushed)


def _check_phone(phone: Phone, program: Program) -> list[Check]:
    bundle = program.bundle
    model = sum(path.stat().st_size for path in program.model_files().values())
    programs = list(program.programs().values())
    report = bundle.report(program.target)
    memory = int(report["weights_bytes"]) + int(report.get("peak_transient_bytes", 0))
    return [
        *phone_checks(
            phone,
            vulkan=program.vulkan,
            memory_bytes=memory,
            disk_bytes=model + sum(path.stat().st_size for path in programs),
        ),
        *(program_check(phone, _head(path)) for path in programs),
    ]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _needs(program: Program) -> Mapping[str, Any]:
    return program.bundle.manifest.targets[program.target].needs


def _gpu(adb: Adb, program: Program) -> Mapping[str, Any]:
    """The GPU that our program will take, as it describes it; nothing with IREE's programs."""
    if not isinstance(program, OurProgram):
        return {}
    done = adb.shell(program.devices(_PROGRAMS))
    if done.code != 0:
        raise DeviceError(f"{adb.serial}: {done.output.strip() or 'no Vulkan'}")
    devices: list[dict[str, Any]] = json.loads(done.output)["devices"]
    if not devices:
        raise DeviceError(f"{adb.serial}: Vulkan lists no device")
    return min(devices, key=lambda device: bool(device["is_software"]))


def _clean(adb: Adb, folders: Sequence[str]) -> None:
    """As far as the device still answers: what went wrong before is what is told."""
    try:
        adb.shell(f"rm -rf {' '.join(map(shlex.quote, folders))}")
    except DeviceError:
        return


@dataclass(frozen=True)
class _Run:
    """One folder on the device, and one here, in which a program is run."""

    adb: Adb
    program: Program
    place: str
    model: str
    folder: Path
    effort: Effort
    progress: Progress

    def send(self, cases: Sequence[Case]) -> None:
        """The inputs of all cases."""
        import numpy as np

        files: dict[str, Path] = {}
        for number, case in enumerate(cases):
            for position, array in enumerate(case.inputs):
                name = f"{number}_in_{position}.npy"
                # .npy does not know bfloat16: its bits.
                bits = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
                np.save(self.folder / name, bits)
                files[name] = self.folder / name
        self.adb.checked(f"mkdir -p {self.place}")
        sync.push(self.adb, files, self.place, self.progress)

    def do(self, step: Step) -> dict[str, Path]:
        """Runs a step and fetches what it leaves. Raises Failure where that is nothing."""
        limit_s = self.effort.limit_s
        # Ended on the device too, where it would else go on after we have gone.
        command = f"cd {self.place} && timeout -s KILL {limit_s:g} {step.command}"
        done = self.adb.shell(command, limit_s + _GRACE_S)
        # Where replays differ, the results tell.
        if done.code not in (0, MismatchError.exit_code):
            raise _failure(done.code, done.output, limit_s)
        files: dict[str, Path] = {}
        for name in step.results:
            files[name] = self.folder / name.replace("/", "_")
            self.adb.pull(f"{self.place}/{name}", files[name], limit_s)
        return files

    def answer(self, number: int, case: Case, specs: Sequence[TensorSpec]) -> list[NDArray[Any]]:
        """The outputs of a case."""
        import numpy as np

        counts = (len(case.inputs), len(specs))
        files = self.do(self.program.answer(_PROGRAMS, self.model, number, counts))
        return [
            np.load(file, allow_pickle=False).view(dtype_of(spec.dtype))
            for file, spec in zip(files.values(), specs, strict=True)
        ]

    def measure(self, inputs: int) -> Measured:
        files = self.do(self.program.measure(_PROGRAMS, self.model, inputs, self.effort))
        texts = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
        return self.program.read(texts)


def _failure(code: int, output: str, limit_s: float) -> Failure:
    # Two lines: the shell itself says last how a program was ended.
    said = "; ".join(output.strip().splitlines()[-2:]) or "no message"
    if code in (_KILLED, _TIMED_OUT):
        return Failure("timeout", f"no end within {limit_s:g} s; it last said: {said}")
    if code > _SIGNALLED:
        name = _signal_name(code - _SIGNALLED)
        return Failure("crashed", f"ended by {name}; it last said: {said}")
    return Failure("failed", f"exit code {code}: {said}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _measured(
    run: _Run, cases: Sequence[Case], gpu: Mapping[str, Any], results: Path | None
) -> tuple[Row, list[OutputComparison], Mapping[str, Any]]:
    """The row: answers first, and times only where those are right."""
    outputs: list[OutputComparison] = []
    details: Mapping[str, Any] = {}

    def row(status: Status, reason: str, fields: Mapping[str, Any]) -> Any:
        return _row(run, gpu, outputs, status, reason, fields), outputs, details

    try:
        manifest = run.program.bundle.manifest
        specs = [spec for spec in manifest.outputs if not spec.is_empty]
        run.send(cases)
        run.progress("running")
        answers = [run.answer(number, case, specs) for number, case in enumerate(cases)]
        if results is not None:
            save_outputs(results, specs, answers[0])
        precision = manifest.targets[run.program.target].precision
        outputs = compare(specs, cases, answers, precision)
        wrong = [found for found in outputs if not found.ok]
        if wrong:
            return row("wrong", f"{wrong[0].name}: {wrong[0].reason}", {})
        run.progress("measuring")
        measured = run.measure(len(cases[0].inputs))
    except Failure as failure:
        return row(failure.status, failure.reason, {})
    details = measured.details
    differing = details.get("differing_replays", 0)
    if differing:
        return row("wrong", f"{differing} of {details['replays']} replays gave other bits", {})
    return row("ok", "", measured.fields)


def _row(
    run: _Run,
    gpu: Mapping[str, Any],
    outputs: Sequence[OutputComparison],
    status: Status,
    reason: str,
    fields: Mapping[str, Any],
) -> Row:
    distances = [row.relative_l2 for row in outputs if math.isfinite(row.relative_l2)]
    name = str(gpu.get("name", run.adb.serial))
    return Row(
        model=run.program.bundle.path.name.removesuffix(".smartmem"),
        size="",
        device=name,
        contender=run.program.name,
        status=status,
        reason=reason,
        variant=run.program.target,
        runs_on=name,
        relative_l2=max(distances, default=None),
        tolerance=max((row.tolerance for row in outputs), default=None),
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        **fields,
    )
