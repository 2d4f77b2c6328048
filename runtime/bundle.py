"""The folder of one compiled model: its files, its manifest, and how it is written.

    model.smartmem/
      manifest.json           inputs, outputs, targets, hashes, versions
      weights.irpa            all weights, shared by the targets
      targets/NAME/model.vmfb, plan.json, report.json
                   schedule, kernels/*.spv      for our executor, where it can run the model
                   translated.mlir.xz           what another budget is written into, where the
                                                weights move under one

The only place that knows this format. Every file is a function of the model, the targets and the
versions: two compiles give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from numpy.typing import NDArray

from smartmem.errors import UserError, os_error
from smartmem.runtime.archive import write_archive
from smartmem.runtime.checksums import Checksums, check_content, checksums
from smartmem.runtime.tree import Tree, tensor_indices

FORMAT_VERSION = 3
ENTRY = "main"
PARAMETER_SCOPE = "model"
MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.irpa"
PLAN_FILE = "plan.json"
REPORT_FILE = "report.json"
_VMFB_FILE = "model.vmfb"
_SCHEDULE_FILE = "schedule"
_KERNELS_FOLDER = "kernels"
_TRANSLATED_FILE = "translated.mlir.xz"

# What a compiled function takes and gives, and what of the user's each type stands for.
_BORDER_DTYPES = {
    "bfloat16": ("bfloat16",),
    "bool": ("bool",),
    "float16": ("float16",),
    "float32": ("float32",),
    "int32": ("int16", "int32", "int64"),
    "int8": ("int8",),
    "uint8": ("uint8",),
}
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: `dtype` at the compiled function's border, `source_dtype` at the user's.

    Both are numpy names ("float32", "bfloat16", "bool", ...). Where they differ ("int32" and
    "int64") the session converts, with a range check on the way in. A tensor without elements is
    no argument or result of the compiled function.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    source_dtype: str

    @property
    def is_empty(self) -> bool:
        """Whether it has no elements."""
        return 0 in self.shape


@dataclass(frozen=True)
class TargetEntry:
    """One compiled form: `kind` is "cpu" or "vulkan", `iree_target` what IREE was told.

    `sha256` is the hash of the vmfb; plan, report and schedule have theirs, and the schedule holds
    those of the kernels. Without a schedule IREE's runtime alone can run it.
    """

    name: str
    kind: str
    iree_target: str
    vmfb: str
    sha256: str
    plan_sha256: str
    report_sha256: str
    needs: dict[str, Any]
    schedule: str | None = None
    schedule_sha256: str | None = None
    translated_sha256: str | None = None

    @property
    def is_streamed(self) -> bool:
        """Whether its weights move under a budget."""
        return self.translated_sha256 is not None


@dataclass(frozen=True)
class WeightsEntry:
    """The weights archive: its size in bytes, the number of arrays in it, and the checksums of its
    chunks (checksums.py).
    """

    file: str
    sha256: str
    bytes: int
    entries: int
    chunks_crc32: Sequence[int] = ()


@dataclass(frozen=True)
class Manifest:
    """Everything a runtime has to know about a bundle; trees are described in runtime/tree.py."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_tree: Tree
    output_tree: Tree
    targets: dict[str, TargetEntry]
    weights: WeightsEntry
    versions: dict[str, str]
    source: dict[str, Any]
    entry: str = ENTRY
    parameter_scope: str = PARAMETER_SCOPE
    format_version: int = FORMAT_VERSION

    @staticmethod
    def load(path: Path) -> Manifest:
        """Reads and checks the manifest of the bundle at `path`; UserError where it is unusable."""
        if not path.exists():
            raise UserError(f"{path}: no such compiled model")
        file = path / MANIFEST_FILE
        if not file.is_file():
            raise UserError(f"{path}: not a compiled model (it has no {MANIFEST_FILE})")
        data = _read_json(file)
        version = data.get("format_version")
        if version != FORMAT_VERSION:
            raise UserError(
                f"{file}: format version {version!r}, but this smartmem reads {FORMAT_VERSION}",
                hint="Compile the model again with this version of smartmem.",
            )
        try:
            return _parse_manifest(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(
                f"{file}: damaged manifest ({reason})", hint="Compile the model again."
            ) from error


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
        return self.path / entry.schedule

    def kernels(self, target: str) -> Path:
        """The folder of SPIR-V modules that the schedule of `target` names."""
        return self.path / "targets" / target / _KERNELS_FOLDER

    def plan(self, target: str) -> dict[str, Any]:
        """What the passes decided for `target`; UserError where it is not what was written."""
        file = self.path / "targets" / target / PLAN_FILE
        _check_hash(file, self.manifest.targets[target].plan_sha256)
        return _read_json(file)

    def report(self, target: str) -> dict[str, Any]:
        """What compiling `target` measured; UserError where it is not what was written."""
        file = self.path / "targets" / target / REPORT_FILE
        _check_hash(file, self.manifest.targets[target].report_sha256)
        return _read_json(file)

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
        file = self.path / "targets" / target / _TRANSLATED_FILE
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
    ) -> None:
        """Stores one compiled form; what varies from compile to compile stays out of `report`.

        `schedule` and its `kernels`, by file name, are what our executor runs. `translated`, where
        weights move under a budget: what another budget is written into.
        """
        if not _TARGET_NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be the name of a target")
        folder = self.folder / "targets" / name
        folder.mkdir(parents=True)
        (folder / _VMFB_FILE).write_bytes(vmfb)
        _write_json(folder / PLAN_FILE, dict(plan))
        _write_json(folder / REPORT_FILE, dict(report))
        if schedule is not None:
            (folder / _SCHEDULE_FILE).write_bytes(schedule)
            (folder / _KERNELS_FOLDER).mkdir()
            for file, code in (kernels or {}).items():
                (folder / _KERNELS_FOLDER / file).write_bytes(code)
        if translated is not None:
            (folder / _TRANSLATED_FILE).write_bytes(lzma.compress(translated.encode()))
        self._targets[name] = TargetEntry(
            name=name,
            kind=kind,
            iree_target=iree_target,
            vmfb=_vmfb_path(name),
            sha256=hashlib.sha256(vmfb).hexdigest(),
            plan_sha256=sha256_of(folder / PLAN_FILE),
            report_sha256=sha256_of(folder / REPORT_FILE),
            needs=dict(needs or {}),
            schedule=None if schedule is None else _schedule_path(name),
            schedule_sha256=None if schedule is None else hashlib.sha256(schedule).hexdigest(),
            translated_sha256=None if translated is None else sha256_of(folder / _TRANSLATED_FILE),
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
        _write_json(self.folder / MANIFEST_FILE, asdict(manifest))
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


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _vmfb_path(target: str) -> str:
    return f"targets/{target}/{_VMFB_FILE}"


def _schedule_path(target: str) -> str:
    return f"targets/{target}/{_SCHEDULE_FILE}"


def _parse_manifest(data: dict[str, Any]) -> Manifest:
    """Builds the manifest; KeyError, TypeError or ValueError say what does not fit."""
    targets = {name: TargetEntry(**entry) for name, entry in data["targets"].items()}
    for name, entry in targets.items():
        if not _TARGET_NAME.fullmatch(name) or entry.vmfb != _vmfb_path(name):
            raise ValueError(f"target {name!r} with file {entry.vmfb!r}")
        if entry.schedule not in (None, _schedule_path(name)):
            raise ValueError(f"target {name!r} with schedule {entry.schedule!r}")
    manifest = Manifest(
        inputs=tuple(_parse_tensor(item) for item in data["inputs"]),
        outputs=tuple(_parse_tensor(item) for item in data["outputs"]),
        input_tree=data["input_tree"],
        output_tree=data["output_tree"],
        targets=targets,
        weights=WeightsEntry(**data["weights"]),
        versions=dict(data["versions"]),
        source=dict(data["source"]),
        entry=data["entry"],
        parameter_scope=data["parameter_scope"],
    )
    if not targets:
        raise ValueError("no targets")
    for text in (manifest.entry, manifest.parameter_scope, manifest.weights.sha256):
        if not isinstance(cast(object, text), str):
            raise ValueError(f"{text!r} is not a text")
    if not isinstance(cast(object, manifest.weights.bytes), int):
        raise ValueError(f"weights of {manifest.weights.bytes!r} bytes")
    if manifest.weights.file != WEIGHTS_FILE:
        raise ValueError(f"weights in {manifest.weights.file!r}")
    if [item["kind"] for item in manifest.input_tree["items"]] != ["tuple", "dict"]:
        raise ValueError("input_tree is not a pair of arguments and keyword arguments")
    if sorted(tensor_indices(manifest.input_tree)) != list(range(len(manifest.inputs))):
        raise ValueError("input_tree and inputs disagree")
    if set(tensor_indices(manifest.output_tree)) - set(range(len(manifest.outputs))):
        raise ValueError("output_tree and outputs disagree")
    return manifest


def _parse_tensor(item: dict[str, Any]) -> TensorSpec:
    spec = TensorSpec(**item)
    if spec.source_dtype not in _BORDER_DTYPES.get(spec.dtype, ()):
        raise ValueError(f"dtype {spec.dtype!r} of {spec.name!r}, outside {spec.source_dtype!r}")
    return replace(spec, shape=tuple(int(size) for size in spec.shape))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: missing", hint="Compile the model again.") from None
    except (ValueError, OSError) as error:
        raise UserError(
            f"{file}: cannot be read ({error})", hint="Compile the model again."
        ) from error
    if not isinstance(data, dict):
        raise UserError(f"{file}: not a JSON object", hint="Compile the model again.")
    return cast(dict[str, Any], data)


def _write_json(file: Path, data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    file.write_text(f"{text}\n", encoding="utf-8")


def _as_json(manifest: Manifest) -> str:
    return json.dumps(asdict(manifest), sort_keys=True)


def _check_hash(file: Path, expected: str) -> None:
    if not file.is_file():
        raise UserError(f"{file}: missing", hint="Compile the model again.")
    if sha256_of(file) != expected:
        raise UserError(
            f"{file}: its hash differs from the manifest's; the file is damaged or was replaced",
            hint="Compile the model again, or copy the folder again.",
        )


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
            ours = (_VMFB_FILE, PLAN_FILE, REPORT_FILE, _SCHEDULE_FILE, _TRANSLATED_FILE)
            return name in ours
        case ("targets", _, folder, name):
            return folder == _KERNELS_FOLDER and name.endswith(".spv")
        case _:
            return False


def _is_ours(manifest: Path) -> bool:
    """Whether this is the manifest of a bundle, of any format version."""
    try:
        data = _read_json(manifest)
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
