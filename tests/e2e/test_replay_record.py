"""Our schedule beside IREE's own record of what its runtime told the device to do."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smartmem.benchmarks.models import suite
from smartmem.compiler import compile_model
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.schedule import Command, Copy, Dispatch, Fill, decode

pytestmark = [pytest.mark.vulkan, pytest.mark.nightly]

TARGET = "llvmpipe"
MODELS = ("mobilenet-v2", "swin-tiny", "clip")
# Kind, workgroups, and the bytes of each range.
Row = tuple[str, tuple[int, ...], tuple[int, ...]]
# How the record stores a binding: buffer, offset, length, slot.
_BINDING = struct.Struct("<QQQQ")


@pytest.mark.parametrize("name", MODELS)
def test_iree_records_the_same_commands(name: str, tmp_path: Path) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    made = compile_model(model, inputs, targets=(TARGET,), out=tmp_path / "model.smartmem")
    bundle = Bundle.open(made.path)
    held = decode(bundle.schedule(TARGET).read_bytes())
    ours = [_row(command) for command in (*held.setup, *held.commands)]
    recorded = list(_recorded(_record(bundle, tmp_path)))
    # The tool copies each result to where it can print it.
    printed: list[Row] = [("copy_buffer", (), (port.length,)) for port in held.outputs]
    # Command buffers are recorded in no certain order.
    assert sorted(recorded) == sorted([*ours, *printed])
    assert len([row for row in ours if row[0] == "dispatch"]) > 30


def _row(command: Command) -> Row:
    match command:
        case Dispatch():
            lengths = tuple(use.length for use in command.uses)
            return ("dispatch", command.workgroups, lengths)
        case Fill():
            return ("fill_buffer", (), (command.target.length,))
        case Copy():
            return ("copy_buffer", (), (command.target.length,))


def _record(bundle: Bundle, folder: Path) -> Path:
    """The record of one call by IREE's own tool, on inputs of ones."""
    file = folder / "call.ireereplay"
    specs = bundle.manifest.inputs
    kinds = {"float32": "f32", "int32": "i32"}
    shapes = ["x".join([*map(str, spec.shape), kinds[spec.dtype]]) for spec in specs]
    said = _run(
        "iree-run-module",
        "--device=vulkan",
        f"--module={bundle.path / 'targets' / TARGET / 'model.vmfb'}",
        f"--parameters=model={bundle.weights}",
        "--function=main",
        *(f"--input={shape}=1" for shape in shapes),
        f"--device_replay_output={file}",
        "--device_replay_file_policy=capture-all",
    ).stdout
    # Having told its results and written the record, the tool ends with code 245, always.
    assert "result[0]" in said
    return file


def _recorded(file: Path) -> Iterator[Row]:
    content = file.read_bytes()
    done = _run("iree-dump-replay", "--format=jsonl", str(file))
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        record: dict[str, Any] = json.loads(line)
        object_, _, kind = record.get("operation", "").partition(".")
        if object_ != "command_buffer" or "payload" not in record:
            continue
        payload = record["payload"]
        if kind == "dispatch":
            held = payload["bindings_range"]
            bindings = content[held["offset"] : held["offset"] + held["length"]]
            lengths = tuple(row[2] for row in _BINDING.iter_unpack(bindings))
            yield (kind, tuple(payload["workgroup_count"]), lengths)
        elif kind in ("fill_buffer", "copy_buffer"):
            yield (kind, (), (payload["target"]["length"],))


def _run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(tool)
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
