"""The document of a run: what machine, what versions, and one row per model and contender.

It is written anew, whole and at once, as rows come, so that an interrupted run keeps them.
"""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Literal

from smartmem.benchmarks.bench.task import Failing
from smartmem.errors import UserError, os_error

FORMAT = "smartmem bench 1"
Status = Literal["ok", "wrong"] | Failing

# What makes and runs our models, and the peers.
_OWN = (
    "smartmem",
    "torch",
    "iree-base-compiler",
    "iree-base-runtime",
    "numpy",
    "transformers",
    "diffusers",
)
_PEERS = (
    "ncnn",
    "pnnx",
    "onnx",
    "onnxruntime",
    "onnxruntime-webgpu",
    "MNN",
)


@dataclass(frozen=True)
class Warm:
    """Milliseconds of the timed runs; ``spread`` tells two halves of the same contender apart.

    It is the relative distance between the medians of the odd and the even runs: what is smaller
    than that between two contenders is noise.
    """

    median: float
    min: float
    max: float
    runs: int
    spread: float

    @staticmethod
    def of(samples: Sequence[float]) -> "Warm":
        halves = [median(samples[first::2] or samples) for first in (0, 1)]
        spread = abs(halves[0] - halves[1]) / min(halves)
        return Warm(median(samples), min(samples), max(samples), len(samples), spread)


@dataclass(frozen=True)
class Row:
    """One contender on one model. Times are there only where the answer was right.

    ``variant`` is the chosen one of ``candidates``; ``relative_l2`` the worst over all outputs and
    both inputs; ``busy_ms`` what the device computes per call, by its own clock, in a run apart;
    ``compile_s`` what the chosen variant took, ``build_s`` all of them, imports and
    export included. ``measured`` and ``load_average`` are of the end of the row's measurement,
    ``commit`` of smartmem.
    """

    model: str
    size: str
    device: str
    contender: str
    status: Status
    reason: str = ""
    variant: str = ""
    runs_on: str = ""
    relative_l2: float | None = None
    tolerance: float | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    warm_ms: Warm | None = None
    busy_ms: float | None = None
    build_s: float | None = None
    compile_s: float | None = None
    peak_host_bytes: int | None = None
    device_bytes: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    candidates: tuple[dict[str, Any], ...] = ()
    measured: str = ""
    load_average: float | None = None
    commit: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a row is about."""
        return self.model, self.size, self.device, self.contender

    @staticmethod
    def of_json(data: dict[str, Any]) -> "Row":
        warm = data.get("warm_ms")
        return Row(
            **{
                **data,
                "warm_ms": Warm(**warm) if warm else None,
                "candidates": tuple(data.get("candidates", ())),
            }
        )


@dataclass
class Document:
    """The rows of one file. ``devices`` are those measured, by name."""

    path: Path | None
    machine: dict[str, Any]
    versions: dict[str, str]
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "machine": self.machine,
            "versions": self.versions,
            "devices": self.devices,
            "rows": [asdict(row) for row in self.rows],
        }

    def add(self, rows: Iterable[Row]) -> None:
        """Keep ``rows``, each in place of an earlier one about the same, and write the file."""
        found = {row.key: row for row in self.rows}
        found.update({row.key: row for row in rows})
        self.rows = list(found.values())
        if self.path is not None:
            write(self.path, self.to_json())

    @staticmethod
    def start(
        path: Path | None, *, resume: bool, compiled_with: Mapping[str, str] | None = None
    ) -> "Document":
        """A new document, or with ``resume`` the one at ``path`` where there is one.

        ``compiled_with`` are the versions elsewhere that made what runs here. Raises UserError
        where that document is none of ours, or of another machine or other versions, and where
        ``path`` cannot be written.
        """
        fresh = Document(path, machine(), {**(compiled_with or {}), **versions()})
        if path is not None:
            _check_writable(path)
        if path is None or not resume or not path.exists():
            return fresh
        found = read(path)
        if (found.machine, found.versions) != (fresh.machine, fresh.versions):
            raise UserError(
                f"{path}: was measured on another machine or with other versions",
                hint="Write to another file; what is not comparable does not belong in one.",
            )
        return Document(path, found.machine, found.versions, found.devices, found.rows)


def read(path: Path) -> Document:
    """The document at ``path``. Raises UserError where it is none of this format."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        rows = [Row.of_json(row) for row in data["rows"]]
        return Document(path, data["machine"], data["versions"], data["devices"], rows)
    except OSError as error:
        raise os_error(error, f"cannot read {path}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: not a document of `smartmem bench` ({error})",
            hint="Remove it, or write to another file.",
        ) from error


def _check_writable(path: Path) -> None:
    """Raise UserError where ``path`` cannot be written: before anything is measured for it."""
    part = _part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        part.unlink()
    except OSError as error:
        raise os_error(error, f"cannot write {path}") from error
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder", hint="Name a file.")


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def write(path: Path, data: dict[str, Any]) -> None:
    """Put ``data`` in the place of ``path`` at once: a reader never meets half a document."""
    part = _part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise os_error(error, f"cannot write {path}") from error


def machine() -> dict[str, Any]:
    """The host: processor, cores, memory, system."""
    from smartmem.runtime.devices import cpu_device

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        **cpu_device().details,
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def own_versions() -> dict[str, str]:
    """The versions of what makes our models; peers make nothing that goes elsewhere."""
    return _installed(_OWN)


def versions() -> dict[str, str]:
    """The versions of what is installed of all that a number may depend on."""
    return _installed((*_OWN, *_PEERS))


def _installed(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of smartmem, ``+`` where files were changed since; "unknown" outside git."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return ""
        return done.stdout.strip()

    head = git("rev-parse", "--short", "HEAD")
    return head + ("+" if git("status", "--porcelain") else "") if head else "unknown"
