"""Many models on many devices, into one document."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from smartmem.benchmarks.bench import results
from smartmem.benchmarks.bench.harness import AGAIN, Harness, Limits, Plan, Progress, work_folder
from smartmem.benchmarks.bench.peers import OURS, Peer
from smartmem.benchmarks.bench.results import Document, Row
from smartmem.benchmarks.bench.task import Task
from smartmem.errors import DeviceError
from smartmem.runtime.devices import Device
from smartmem.runtime.session import Executor


@dataclass(frozen=True)
class Request:
    """What to measure. ``keep`` is a folder where what the contenders build stays; ``executor`` is
    what runs smartmem's models, with at most ``weights_budget`` of device memory for weights.
    """

    models: tuple[str, ...]
    size: str
    devices: tuple[Device, ...]
    peers: tuple[Peer, ...]
    plan: Plan = field(default_factory=Plan)
    limits: Limits = field(default_factory=Limits)
    keep: Path | None = None
    executor: Executor = "auto"
    weights_budget: str | None = None


def run(
    request: Request,
    document: Document,
    *,
    show: Callable[[Row], None],
    progress: Progress,
) -> None:
    """Measure all that ``document`` lacks; each row goes there as soon as it is done.

    Raises DeviceError where a device disappears on the way: the rows so far are kept.
    """
    commit = results.commit()
    with tempfile.TemporaryDirectory(prefix="smartmem-bench-") as temporary:
        root = request.keep or Path(temporary)
        for device in request.devices:
            document.devices[device.name] = describe(device)
            for model in request.models:
                peers = _missing(document, request, model, device)
                folder = work_folder(root, model, request.size, device.target)
                task = Task(
                    model,
                    request.size,
                    device.target,
                    device.uri,
                    device.kind,
                    folder,
                    executor=request.executor,
                    weights_budget=request.weights_budget,
                )
                harness = Harness(
                    task,
                    device.name,
                    plan=request.plan,
                    limits=request.limits,
                    progress=progress,
                    commit=commit,
                )
                for row in harness.measure(peers) if peers else ():
                    document.add([row])
                    show(row)
                check_present(device)


def _missing(document: Document, request: Request, model: str, device: Device) -> list[Peer]:
    """The contenders that have no row yet."""
    done = {row.key for row in document.rows}

    def is_done(name: str) -> bool:
        return (model, request.size, device.name, name) in done

    def is_missing(peer: Peer) -> bool:
        again = peer.name == OURS and request.plan.again
        return not is_done(peer.name) or (again and not is_done(AGAIN))

    return [peer for peer in request.peers if is_missing(peer)]


def describe(device: Device) -> dict[str, str]:
    """What a document says of a device."""
    return {
        "kind": device.kind,
        "driver": device.driver,
        "api": device.api,
        "target": device.target,
    }


def check_present(device: Device) -> None:
    """Raise DeviceError where ``device`` is no longer among those of this machine."""
    if device.kind == "cpu":
        return
    if device.uri not in _present():
        raise DeviceError(
            f"the device {device.name!r} has disappeared",
            hint="The rows so far are kept; go on with --resume when it is back.",
        )


def _present() -> set[str]:
    """URIs of all devices as a new process sees them: here, a lost driver would stay lost."""
    code = "from smartmem.runtime.devices import list_devices as f; print(*(d.uri for d in f()))"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(done.stdout.split()) if done.returncode == 0 else set()
