"""The programs that run a model on a device, ours and IREE's: what each needs, is told, says."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smartmem.errors import UserError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.manifest import (
    KERNELS_FOLDER,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    schedule_path,
    stream_path,
    vmfb_path,
)

PRESET = "android-arm64"
_IREE_PROGRAMS = ("iree-run-module", "iree-benchmark-module")
_IREE_VULKAN = "1.3"


@dataclass(frozen=True)
class Effort:
    """How much is measured: timed runs, replays compared bit by bit, seconds of drift, and how many
    seconds one program may take.
    """

    runs: int = 20
    replays: int = 10
    drift_s: float = 0.0
    limit_s: float = 600.0


@dataclass(frozen=True)
class Step:
    """A line of shell in the run's folder, and files that it leaves there."""

    command: str
    results: Sequence[str] = ()


@dataclass(frozen=True)
class Measured:
    """What a program says of itself: fields of a row of `smartmem bench`, and all else."""

    fields: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Program(ABC):
    """``name`` as the row's contender; paths on the device are given with the calls."""

    name: str

    def __init__(self, bundle: Bundle, target: str) -> None:
        self.bundle = bundle
        self.target = target

    @property
    @abstractmethod
    def vulkan(self) -> str:
        """The least version of Vulkan."""

    @abstractmethod
    def programs(self) -> dict[str, Path]:
        """Its files, by name."""

    @abstractmethod
    def model_files(self) -> dict[str, Path]:
        """What it reads of the model, by path in the bundle."""

    @abstractmethod
    def answer(self, place: str, model: str, case: int, counts: tuple[int, int]) -> Step:
        """Runs case ``case`` once: of ``counts`` inputs CASE_in_I.npy, outputs CASE_out_I.npy."""

    @abstractmethod
    def measure(self, place: str, model: str, inputs: int, effort: Effort) -> Step:
        """Runs case 0 as often as is wanted."""

    @abstractmethod
    def read(self, results: Mapping[str, str]) -> Measured:
        """What ``measure`` left behind, by file."""


class OurProgram(Program):
    """smartmem-run, with the schedule: from Vulkan 1.1 on."""

    name = "smartmem"

    def __init__(self, bundle: Bundle, target: str, program: Path) -> None:
        super().__init__(bundle, target)
        if bundle.manifest.targets[target].schedule is None:
            raise UserError(
                f"{bundle.path}: target {target} has no schedule, so our program cannot run it: "
                f"{bundle.report(target).get('unschedulable') or 'no reason is recorded'}",
                hint="IREE's programs can: name their folder with --iree.",
            )
        self._program = program

    @property
    def vulkan(self) -> str:
        return str(self.bundle.manifest.targets[self.target].needs["vulkan"])

    def programs(self) -> dict[str, Path]:
        return {self._program.name: self._program}

    def model_files(self) -> dict[str, Path]:
        kernels = self.bundle.kernels(self.target)
        folder = f"targets/{self.target}/{KERNELS_FOLDER}"
        stream = self.bundle.stream_file(self.target)
        return {
            MANIFEST_FILE: self.bundle.path / MANIFEST_FILE,
            WEIGHTS_FILE: self.bundle.weights,
            schedule_path(self.target): self.bundle.schedule(self.target),
            **({stream_path(self.target): stream} if stream else {}),
            **{f"{folder}/{file.name}": file for file in sorted(kernels.iterdir())},
        }

    def devices(self, place: str) -> str:
        """The line of shell that lists GPUs."""
        return f"{place}/{self._program.name} --devices"

    def answer(self, place: str, model: str, case: int, counts: tuple[int, int]) -> Step:
        inputs, outputs = counts
        folder = f"out{case}"
        command = f"{self._call(place, model, case, inputs)} --runs 1 --output-dir {folder}"
        return Step(command, tuple(f"{folder}/{position}.npy" for position in range(outputs)))

    def measure(self, place: str, model: str, inputs: int, effort: Effort) -> Step:
        options = (
            f"--runs {effort.runs} --replays {effort.replays} --drift {effort.drift_s:g} "
            "--cache pipelines --profile --json run.json"
        )
        return Step(f"{self._call(place, model, 0, inputs)} {options}", ("run.json",))

    def read(self, results: Mapping[str, str]) -> Measured:
        from smartmem.benchmarks.bench.results import Warm

        data = json.loads(results["run.json"])
        taken = ("load_ms", "first_ms", "busy_ms", "peak_host_bytes", "device_bytes", "counts")
        kept = ("loads", "replays", "differing_replays", "drift", "profile")
        more = ("pss_bytes", "swap_pss_bytes", "device_peak_bytes", "device")
        return Measured(
            {**{key: data[key] for key in taken}, "warm_ms": Warm(**data["warm_ms"])},
            {key: data[key] for key in (*kept, *more)},
        )

    def _call(self, place: str, model: str, case: int, inputs: int) -> str:
        given = " ".join(f"--input {case}_in_{position}.npy" for position in range(inputs))
        return f"{place}/{self._program.name} {model} --target {self.target} {given}"


class StockProgram(Program):
    """IREE's own programs, built for the device by the user: the vmfb, from Vulkan 1.3 on."""

    name = "iree runtime"

    def __init__(self, bundle: Bundle, target: str, folder: Path) -> None:
        super().__init__(bundle, target)
        self._folder = folder
        for name in _IREE_PROGRAMS:
            if not (folder / name).is_file():
                raise UserError(
                    f"{folder}: has no {name}",
                    hint="Name the folder of IREE's programs for the device (docs/android.md).",
                )

    @property
    def vulkan(self) -> str:
        return _IREE_VULKAN

    def programs(self) -> dict[str, Path]:
        return {name: self._folder / name for name in _IREE_PROGRAMS}

    def model_files(self) -> dict[str, Path]:
        return {
            WEIGHTS_FILE: self.bundle.weights,
            vmfb_path(self.target): self.bundle.vmfb(self.target),
        }

    def answer(self, place: str, model: str, case: int, counts: tuple[int, int]) -> Step:
        inputs, outputs = counts
        files = tuple(f"{case}_out_{position}.npy" for position in range(outputs))
        asked = " ".join(f"--output=@{file}" for file in files)
        return Step(f"{self._call('iree-run-module', place, model, case, inputs)} {asked}", files)

    def measure(self, place: str, model: str, inputs: int, effort: Effort) -> Step:
        options = (
            f"--benchmark_repetitions={effort.runs} --benchmark_min_time=1x "
            "--benchmark_format=json --benchmark_out=run.json"
        )
        call = self._call("iree-benchmark-module", place, model, 0, inputs)
        return Step(f"{call} {options}", ("run.json",))

    def read(self, results: Mapping[str, str]) -> Measured:
        from smartmem.benchmarks.bench.results import Warm

        rows = json.loads(results["run.json"])["benchmarks"]
        per_ms = {"ns": 1e6, "us": 1e3, "ms": 1.0, "s": 1e-3}
        samples = [
            row["real_time"] / per_ms[row["time_unit"]]
            for row in rows
            if row.get("run_type") == "iteration"
        ]
        return Measured({"warm_ms": Warm.of(samples)})

    def _call(self, program: str, place: str, model: str, case: int, inputs: int) -> str:
        given = " ".join(f"--input=@{case}_in_{position}.npy" for position in range(inputs))
        manifest = self.bundle.manifest
        return (
            f"{place}/{program} --device=vulkan --function={manifest.entry} "
            f"--module={model}/{vmfb_path(self.target)} "
            f"--parameters={manifest.parameter_scope}={model}/{WEIGHTS_FILE} {given}"
        )
