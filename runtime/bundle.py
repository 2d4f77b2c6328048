"""The folder of one compiled model: its files.

    model.smartmem/
      manifest.json           inputs, outputs, targets, hashes, versions
      weights.irpa            all weights, shared by the targets
      targets/NAME/model.vmfb, plan.json, report.json
                   dispatches.mlir.xz           what each dispatch computes, as IREE's stream phase
                   schedule, kernels/*.spv      for our executor, where it can run the model
                   stream.json                  how its weights may stream there (stream_file.py)
                   translated.mlir.xz           what another budget is written into, where the
                                                weights move under one

How it is written: bundle_writer.py; what its manifest says: manifest.py.
"""

from __future__ import annotations

import lzma
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartmem.errors import UserError
from smartmem.runtime.checksums import Checksums, check_content
from smartmem.runtime.manifest import (
    DISPATCHES_FILE,
    KERNELS_FOLDER,
    PLAN_FILE,
    REPORT_FILE,
    TRANSLATED_FILE,
    Manifest,
    read_json,
    sha256_of,
    stream_path,
)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle; opening reads the manifest only."""

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Bundle:
        """Raises UserError where `path` is no bundle of this format."""
        folder = Path(path)
        return Bundle(folder, Manifest.load(folder))

    @property
    def weights(self) -> Path:
        return self.path / self.manifest.weights.file

    def vmfb(self, target: str) -> Path:
        return self.path / self.manifest.targets[target].vmfb

    def schedule(self, target: str) -> Path:
        """What our executor does for `target`; UserError where it is not what was written."""
        entry = self.manifest.targets[target]
        if entry.schedule is None or entry.schedule_sha256 is None:
            raise UserError(f"{self.path}: target {target!r} has no schedule")
        _check_hash(self.path / entry.schedule, entry.schedule_sha256)
        self.stream_file(target)
        return self.path / entry.schedule

    def stream_file(self, target: str) -> Path | None:
        """What our executor is told of streaming `target`; UserError where it is not what was
        written.
        """
        expected = self.manifest.targets[target].stream_sha256
        if expected is None:
            return None
        file = self.path / stream_path(target)
        _check_hash(file, expected)
        return file

    def kernels(self, target: str) -> Path:
        """The folder of SPIR-V modules that the schedule of `target` names."""
        return self.path / "targets" / target / KERNELS_FOLDER

    def program(self, target: str) -> tuple[bytes, dict[str, bytes]]:
        """The schedule of `target` and its kernels by file name, as they were written."""
        folder = self.kernels(target)
        kernels = {file.name: file.read_bytes() for file in sorted(folder.glob("*.spv"))}
        return self.schedule(target).read_bytes(), kernels

    def plan(self, target: str) -> dict[str, Any]:
        """What the passes decided for `target`; UserError where it is not what was written."""
        file = self.path / "targets" / target / PLAN_FILE
        _check_hash(file, self.manifest.targets[target].plan_sha256)
        return read_json(file)

    def report(self, target: str) -> dict[str, Any]:
        """What compiling `target` measured; UserError where it is not what was written."""
        file = self.path / "targets" / target / REPORT_FILE
        _check_hash(file, self.manifest.targets[target].report_sha256)
        return read_json(file)

    def translated(self, target: str) -> str:
        """What the module of another budget is made from; UserError where there is none, or it is
        not what was written.
        """
        expected = self.manifest.targets[target].translated_sha256
        if expected is None:
            raise UserError(
                f"{self.path}: target {target} was compiled without a budget, so its weights "
                "cannot move",
                hint="Compile it with --budget (100% keeps all weights in memory).",
            )
        file = self.path / "targets" / target / TRANSLATED_FILE
        _check_hash(file, expected)
        return lzma.decompress(file.read_bytes()).decode()

    def dispatches(self, target: str) -> str:
        """What each dispatch of `target` computes, as linalg in IREE's stream phase; UserError
        where that is not there, or not what was written.
        """
        expected = self.manifest.targets[target].dispatches_sha256
        if expected is None:
            raise UserError(
                f"{self.path}: target {target} does not say what its dispatches compute",
                hint="Compile the model again with this version of smartmem.",
            )
        file = self.path / "targets" / target / DISPATCHES_FILE
        _check_hash(file, expected)
        return lzma.decompress(file.read_bytes()).decode()

    def check_target(self, target: str, *, thorough: bool = False) -> None:
        """Compares the compiled file of `target` with its recorded hash, and if thorough its plan
        and report; UserError on any doubt.
        """
        _check_hash(self.vmfb(target), self.manifest.targets[target].sha256)
        if thorough:
            self.plan(target)
            self.report(target)
            if self.manifest.targets[target].dispatches_sha256 is not None:
                self.dispatches(target)
            if self.manifest.targets[target].schedule is not None:
                self.schedule(target)

    def check_weights(self, *, thorough: bool = False) -> None:
        """Checks the archive's presence and size; reads it all and checks its hash if thorough.

        Raises UserError that names the file, and where it was read the chunk that is damaged.
        """
        expected = self.manifest.weights.bytes
        if not self.weights.is_file():
            raise UserError(f"{self.weights}: missing", hint="Compile the model again.")
        actual = self.weights.stat().st_size
        if actual != expected:
            raise UserError(
                f"{self.weights}: {actual} bytes, but {expected} were written; the file is damaged",
                hint="Compile the model again, or copy the folder again.",
            )
        if thorough:
            entry = self.manifest.weights
            check_content(self.weights, Checksums(entry.sha256, tuple(entry.chunks_crc32)))


def _check_hash(file: Path, expected: str) -> None:
    if not file.is_file():
        raise UserError(f"{file}: missing", hint="Compile the model again.")
    if sha256_of(file) != expected:
        raise UserError(
            f"{file}: its hash differs from the manifest's; the file is damaged or was replaced",
            hint="Compile the model again, or copy the folder again.",
        )
