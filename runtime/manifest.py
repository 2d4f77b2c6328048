"""What ``manifest.json`` of a compiled model says: values, how they are read, and checked.

Every number in it is a function of the model, the targets and the versions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from smartmem.errors import UserError
from smartmem.runtime.tree import Tree, tensor_indices

FORMAT_VERSION = 3
ENTRY = "main"
PARAMETER_SCOPE = "model"
MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.irpa"
PLAN_FILE = "plan.json"
REPORT_FILE = "report.json"
VMFB_FILE = "model.vmfb"
SCHEDULE_FILE = "schedule"
STREAM_FILE = "stream.json"
KERNELS_FOLDER = "kernels"
TRANSLATED_FILE = "translated.mlir.xz"
DISPATCHES_FILE = "dispatches.mlir.xz"

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
# What float32 tensors of a model are held in, by the field's names.
Precision = Literal["fp32", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


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
    those of the kernels. Without a schedule IREE's runtime alone can run it. `fast_math`: whether
    its arithmetic was rewritten in ways that change rounding. `budget_bytes`: what its weights may
    take, where it was compiled with a budget. `precision`: "fp16" where float32 tensors of the
    model are halves inside.
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
    dispatches_sha256: str | None = None
    fast_math: bool = False
    stream_sha256: str | None = None
    budget_bytes: int | None = None
    precision: Precision = "fp32"

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
        data = read_json(file)
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


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def vmfb_path(target: str) -> str:
    return f"targets/{target}/{VMFB_FILE}"


def schedule_path(target: str) -> str:
    return f"targets/{target}/{SCHEDULE_FILE}"


def stream_path(target: str) -> str:
    return f"targets/{target}/{STREAM_FILE}"


def _parse_manifest(data: dict[str, Any]) -> Manifest:
    """Builds the manifest; KeyError, TypeError or ValueError say what does not fit."""
    targets = {name: TargetEntry(**entry) for name, entry in data["targets"].items()}
    for name, entry in targets.items():
        if not TARGET_NAME.fullmatch(name) or entry.vmfb != vmfb_path(name):
            raise ValueError(f"target {name!r} with file {entry.vmfb!r}")
        if entry.schedule not in (None, schedule_path(name)):
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


def read_json(file: Path) -> dict[str, Any]:
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


def write_json(file: Path, data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    file.write_text(f"{text}\n", encoding="utf-8")
