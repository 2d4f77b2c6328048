"""How the folder of a compiled model is written: beside its place, and moved there whole.

Every file is a function of the model, the targets and the versions: two compiles give the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from numpy.typing import NDArray

from smartmem.errors import UserError, os_error
from smartmem.runtime.archive import write_archive
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.checksums import checksums
from smartmem.runtime.manifest import (
    DISPATCHES_FILE,
    KERNELS_FOLDER,
    MANIFEST_FILE,
    PLAN_FILE,
    REPORT_FILE,
    SCHEDULE_FILE,
    STREAM_FILE,
    TARGET_NAME,
    TRANSLATED_FILE,
    VMFB_FILE,
    WEIGHTS_FILE,
    Manifest,
    Precision,
    TargetEntry,
    TensorSpec,
    WeightsEntry,
    read_json,
    schedule_path,
    sha256_of,
    vmfb_path,
    write_json,
)
from smartmem.runtime.stream_file import StreamFile
from smartmem.runtime.tree import Tree


class BundleWriter:
    """Writes a bundle beside its final place and swaps it in whole.

        with BundleWriter(path) as writer:
            writer.write_weights(arrays)
            writer.add_target("cpu", kind="cpu", ...)
            manifest = writer.finish(inputs=..., ...)

    Leaving the block without `finish` leaves `path` as it was. Targets of a bundle already at
    `path` are kept when it was made from the same source, weights, signature and versions; else
    `dropped` names them. A symbolic link stays one: the bundle goes where it points.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.realpath(path))
        self.folder = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}")
        self._weights: WeightsEntry | None = None
        self._targets: dict[str, TargetEntry] = {}
        self.dropped: tuple[str, ...] = ()
        check_writable(self.path)

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise os_error(error, f"cannot write {self.path}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise os_error(error, f"cannot write {self.path}") from error

    def write_weights(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Stores the arrays, row-major, under their keys."""
        file = self.folder / WEIGHTS_FILE
        write_archive(file, arrays)
        sums = checksums(file)
        self._weights = WeightsEntry(
            WEIGHTS_FILE, sums.sha256, file.stat().st_size, len(arrays), sums.chunks_crc32
        )

    def share_weights(self, bundle: Bundle) -> None:
        """Takes the archive of another bundle: the same file where the disk allows it."""
        file = self.folder / WEIGHTS_FILE
        try:
            os.link(bundle.weights, file)
        except OSError:
            shutil.copyfile(bundle.weights, file)
        self._weights = bundle.manifest.weights

    def add_target(
        self,
        name: str,
        *,
        kind: str,
        iree_target: str,
        vmfb: bytes,
        plan: Mapping[str, Any],
        report: Mapping[str, Any],
        needs: Mapping[str, Any] | None = None,
        schedule: bytes | None = None,
        kernels: Mapping[str, bytes] | None = None,
        translated: str | None = None,
        dispatches: str | None = None,
        fast_math: bool = False,
        stream: StreamFile | None = None,
        budget_bytes: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        """Stores one compiled form; what varies from compile to compile stays out of `report`.

        `schedule` and its `kernels`, by file name, are what our executor runs. `translated`, where
        weights move under a budget: what another budget is written into. `dispatches`: what each
        dispatch computes, as IREE's stream phase. `stream`: what our executor is told of streaming.
        `budget_bytes`: what the weights were planned for.
        """
        if not TARGET_NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be the name of a target")
        folder = self.folder / "targets" / name
        folder.mkdir(parents=True)
        (folder / VMFB_FILE).write_bytes(vmfb)
        write_json(folder / PLAN_FILE, dict(plan))
        write_json(folder / REPORT_FILE, dict(report))
        if schedule is not None:
            (folder / SCHEDULE_FILE).write_bytes(schedule)
            (folder / KERNELS_FOLDER).mkdir()
            for file, code in (kernels or {}).items():
                (folder / KERNELS_FOLDER / file).write_bytes(code)
        if stream is not None:
            (folder / STREAM_FILE).write_bytes(stream.encode())
        if translated is not None:
            (folder / TRANSLATED_FILE).write_bytes(lzma.compress(translated.encode()))
        if dispatches is not None:
            (folder / DISPATCHES_FILE).write_bytes(lzma.compress(dispatches.encode()))
        self._targets[name] = TargetEntry(
            name=name,
            kind=kind,
            iree_target=iree_target,
            vmfb=vmfb_path(name),
            sha256=hashlib.sha256(vmfb).hexdigest(),
            plan_sha256=sha256_of(folder / PLAN_FILE),
            report_sha256=sha256_of(folder / REPORT_FILE),
            needs=dict(needs or {}),
            schedule=None if schedule is None else schedule_path(name),
            schedule_sha256=None if schedule is None else hashlib.sha256(schedule).hexdigest(),
            translated_sha256=None if translated is None else sha256_of(folder / TRANSLATED_FILE),
            dispatches_sha256=None if dispatches is None else sha256_of(folder / DISPATCHES_FILE),
            fast_math=fast_math,
            stream_sha256=None if stream is None else sha256_of(folder / STREAM_FILE),
            budget_bytes=budget_bytes,
            precision=precision,
        )

    def finish(
        self,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        input_tree: Tree,
        output_tree: Tree,
        versions: Mapping[str, str],
        source: Mapping[str, Any],
    ) -> Manifest:
        """Writes the manifest, moves the bundle to its place and returns the manifest."""
        if self._weights is None:
            self.write_weights({})
        manifest = Manifest(
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            input_tree=input_tree,
            output_tree=output_tree,
            targets=self._targets,
            weights=cast(WeightsEntry, self._weights),
            versions=dict(versions),
            source=dict(source),
        )
        manifest = self._keep_other_targets(manifest)
        write_json(self.folder / MANIFEST_FILE, asdict(manifest))
        _swap_in(self.folder, self.path)
        return manifest

    def _keep_other_targets(self, manifest: Manifest) -> Manifest:
        """Copies what the bundle at `path` has and this one lacks, if both are of one model."""
        try:
            old = Manifest.load(self.path)
        except UserError:
            return manifest
        # Compared as JSON: what was read back has lists where the new one may have tuples.
        kept = {name: entry for name, entry in old.targets.items() if name not in self._targets}
        if _as_json(replace(old, targets={})) != _as_json(replace(manifest, targets={})):
            self.dropped = tuple(kept)
            return manifest
        for name in kept:
            shutil.copytree(self.path / "targets" / name, self.folder / "targets" / name)
        return replace(manifest, targets={**self._targets, **kept})


def _as_json(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), sort_keys=True)


def check_writable(path: Path) -> None:
    """Refuses a place where nothing can be written, or what smartmem did not write itself."""
    real = Path(os.path.realpath(path))
    if Path.cwd().is_relative_to(real):
        raise UserError(
            f"cannot write {path}: the working folder lies in it",
            hint="Choose another output path, such as model.smartmem.",
        )
    folder = next(parent for parent in real.parents if parent.exists())
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: {folder} is not a folder")
    try:
        # Tried, since permissions do not tell of every place that takes nothing.
        with tempfile.TemporaryDirectory(prefix=f".{real.name}.", dir=folder):
            pass
    except OSError as error:
        raise os_error(error, f"cannot write {path}: {folder} takes no files") from error
    _check_replaceable(real)


def _check_replaceable(path: Path) -> None:
    """Refuses what exists at `path`, but for an empty folder and a bundle with no file but ours."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    remedy = "Choose another output path, such as model.smartmem."
    if not _is_ours(path / MANIFEST_FILE):
        raise UserError(
            f"{path}: exists and is not a compiled model; it will not be replaced", hint=remedy
        )
    for file in sorted(path.rglob("*")):
        known = _is_our_file(file.relative_to(path).parts)
        if not known and (file.is_symlink() or not file.is_dir()):
            raise UserError(
                f"{file}: smartmem did not write this file; {path} will not be replaced",
                hint=f"Move the file elsewhere. {remedy}",
            )


def _is_our_file(parts: tuple[str, ...]) -> bool:
    """Whether bundles have a file at this place."""
    match parts:
        case (name,):
            return name in (MANIFEST_FILE, WEIGHTS_FILE)
        case ("targets", _, name):
            ours = (VMFB_FILE, PLAN_FILE, REPORT_FILE, SCHEDULE_FILE, STREAM_FILE)
            return name in (*ours, TRANSLATED_FILE, DISPATCHES_FILE)
        case ("targets", _, folder, name):
            return folder == KERNELS_FOLDER and name.endswith(".spv")
        case _:
            return False


def _is_ours(manifest: Path) -> bool:
    """Whether this is the manifest of a bundle, of any format version."""
    try:
        data = read_json(manifest)
    except UserError:
        return False
    return isinstance(data.get("format_version"), int) and {"targets", "weights"} <= data.keys()


def _swap_in(new: Path, path: Path) -> None:
    """Puts the folder `new` in the place of `path`; a failure leaves the old one there."""
    if not path.exists():
        new.rename(path)
        return
    old = new.with_name(f"{new.name}.old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
