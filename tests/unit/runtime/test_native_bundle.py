"""Bundles through the C API: what is read, and what is refused."""

import ctypes
import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.runtime.native_bundle import NAMES, TARGET, write_bundle

from smartmem.errors import SmartmemError, UserError
from smartmem.passes.iree import environment, needs
from smartmem.runtime import native_api
from smartmem.runtime.manifest import MANIFEST_FILE
from smartmem.runtime.schedule import Format

pytestmark = [pytest.mark.vulkan, pytest.mark.native]

NATIVE = native_api.LIBRARY.parent.parent


class Tensor(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_char_p),
        ("shape", ctypes.POINTER(ctypes.c_uint64)),
        ("rank", ctypes.c_size_t),
        ("size_bytes", ctypes.c_size_t),
    )


def open_bundle(path: Path) -> native_api.Handle:
    native_api.library().sm_bundle_release.argtypes = [ctypes.c_void_p]
    return native_api.Handle(
        lambda out: native_api.call("sm_bundle_open", bytes(path), out), "sm_bundle_release"
    )


def open_session(path: Path, target: bytes | None = None) -> native_api.Handle:
    bundle = open_bundle(path)
    return native_api.Handle(
        lambda out: native_api.call("sm_session_open", bundle.value, target, None, out),
        "sm_session_release",
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "net.smartmem")


def edit(bundle: Path, change: Any) -> None:
    """The manifest, changed in place by a function of its data."""
    file = bundle / MANIFEST_FILE
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")


def test_what_the_manifest_says(bundle: Path) -> None:
    handle = open_bundle(bundle)
    library = native_api.library()
    library.sm_bundle_target.restype = ctypes.c_char_p
    assert library.sm_bundle_target(handle.value, 0).decode() == TARGET
    assert library.sm_bundle_target(handle.value, 1) is None
    # The empty one is no argument of the compiled function.
    assert library.sm_bundle_input_count(handle.value) == 2
    tensor = Tensor()
    native_api.call("sm_bundle_input", handle.value, 0, ctypes.byref(tensor))
    assert tensor.name.decode() == NAMES[0]
    assert (tensor.dtype, tensor.shape[: tensor.rank], tensor.size_bytes) == (
        b"float32",
        [2, 8],
        64,
    )
    with pytest.raises(UserError, match="there are only 2"):
        native_api.call("sm_bundle_output", handle.value, 2, ctypes.byref(tensor))


def test_a_name_is_needed_where_there_are_two_targets(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "net.smartmem", targets=("adreno", "mali"))
    with pytest.raises(UserError, match=r"name one of its targets; .* adreno, mali"):
        open_session(path)
    with pytest.raises(UserError, match="no target 'cpu'"):
        open_session(path, b"cpu")
    assert open_session(path, b"mali").value


def _weights_elsewhere(data: Any) -> None:
    data["weights"]["file"] = "../weights.irpa"


def _schedule_elsewhere(data: Any) -> None:
    data["targets"][TARGET]["schedule"] = "../schedule"


def _another_version(data: Any) -> None:
    data["format_version"] = 99


def _too_large(data: Any) -> None:
    data["inputs"][0]["shape"] = [1 << 40, 1 << 40]


def _negative(data: Any) -> None:
    data["inputs"][0]["shape"] = [-2, 8]


def _unknown_type(data: Any) -> None:
    data["inputs"][0]["dtype"] = "float8"


def _without_outputs(data: Any) -> None:
    del data["outputs"]


BAD_MANIFESTS = {
    "weights in another file": _weights_elsewhere,
    "with the schedule '../schedule'": _schedule_elsewhere,
    "format version 99, but this library reads 3": _another_version,
    "is too large": _too_large,
    "a number that is no count": _negative,
    "a tensor of type 'float8'": _unknown_type,
    "'outputs' is not a list": _without_outputs,
}


@pytest.mark.parametrize("reason", BAD_MANIFESTS)
def test_a_manifest_that_makes_no_sense(reason: str, bundle: Path) -> None:
    edit(bundle, BAD_MANIFESTS[reason])
    with pytest.raises(UserError) as caught:
        open_bundle(bundle)
    assert f"{bundle / MANIFEST_FILE}: " in str(caught.value) and reason in str(caught.value)


def test_files_that_are_not_those_of_the_manifest(bundle: Path) -> None:
    edit(bundle, lambda data: data["outputs"][0].update(shape=[2, 9]))
    with pytest.raises(UserError, match="the schedule's outputs are not the manifest's"):
        open_session(bundle)
    with (bundle / "weights.irpa").open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"weights\.irpa: .* were written"):
        open_session(bundle)
    with (bundle / "targets" / TARGET / "schedule").open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match="its hash differs from the manifest's"):
        open_session(bundle)


BAD_JSON = (
    b"",
    b"{",
    b"[" * 100_000,
    b'{"a": 1, "a": 2}',
    b'{"a": 01}',
    b'{"a": 1.}',
    b'{"a": +1}',
    b'{"a": nul}',
    b'{"a": "\n"}',
    b'{"a": "\\x"}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\u12g4"}',
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": 1} x',
    b'{"a": "',
    b"\xff\xfe",
)


@pytest.mark.parametrize("text", BAD_JSON)
def test_what_is_no_json(text: bytes, bundle: Path) -> None:
    (bundle / MANIFEST_FILE).write_bytes(text)
    with pytest.raises(UserError, match="not JSON at byte"):
        open_bundle(bundle)


def _mutations(data: bytes, count: int) -> Iterator[bytes]:
    generator = random.Random(count)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(generator.choice((1, 1, 2, 4))):
            position = generator.randrange(len(changed))
            changed[position] = generator.choice((*b'{}[]",:0\\u-.', generator.randrange(256)))
        if generator.random() < 0.1:
            del changed[generator.randrange(len(changed)) :]
        yield bytes(changed)


def test_hostile_manifests_never_crash(bundle: Path) -> None:
    file = bundle / MANIFEST_FILE
    refused = 0
    for text in _mutations(file.read_bytes(), 2000):
        file.write_bytes(text)
        try:
            open_bundle(bundle)
        except SmartmemError:
            refused += 1
    # Neither is everything refused for one reason, nor nothing looked at.
    assert 200 < refused < 1900


def test_what_a_device_offers_has_the_names_of_what_models_need() -> None:
    device = native_api.open_device(native_api.devices()[0].uuid)
    size = ctypes.c_size_t()
    native_api.call("sm_device_describe", device.value, None, 0, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    native_api.call("sm_device_describe", device.value, text, len(text), ctypes.byref(size))
    offers = json.loads(text.value)
    assert (
        {"shaderFloat16", "storageBuffer16BitAccess"}
        <= set(offers["features"])
        <= set(environment.FEATURES.values())
    )
    assert set(offers["subgroup_operations"]) <= set(needs._SUBGROUP_OPERATIONS.values())
    assert "VK_KHR_timeline_semaphore" in offers["extensions"]
    formats = {form.name for form in Format if form is not Format.NONE}
    assert set(offers["texel_formats"]) == set(offers["image_formats"]) == formats
    assert offers["subgroup_sizes"] and offers["storage_buffers"] >= 4


def test_one_version_everywhere() -> None:
    header = (NATIVE / "include" / "smartmem.h").read_text(encoding="utf-8")
    stated = re.search(r"^#define SM_API_VERSION (\d+)$", header, re.MULTILINE)
    assert stated and int(stated[1]) == native_api.API_VERSION
    assert native_api.library().sm_api_version() == native_api.API_VERSION
    # Programs ask for the library by this name.
    soname = f"libsmartmem.so.{native_api.API_VERSION}".encode()
    assert soname + b"\0" in native_api.LIBRARY.read_bytes()


@pytest.mark.cxx
def test_the_example_of_the_header(bundle: Path, tmp_path: Path) -> None:
    source = NATIVE / "examples" / "run.c"
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 60
    build = NATIVE / "build"
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = ["gcc", *warnings, f"-I{NATIVE / 'include'}", str(source), "-o", "run"]
    linked = [f"-L{build}", "-lsmartmem", f"-Wl,-rpath,{build}"]
    subprocess.run([*command, *linked], cwd=tmp_path, check=True)
    values = np.arange(16, dtype=np.float32)
    values.tofile(tmp_path / "x.raw")
    run = [str(tmp_path / "run"), str(bundle), "x.raw", "unread.raw"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"y float32 64 bytes, sum {values.view(np.uint8).sum()}",
        "seven int32 16 bytes, sum 17",
    ]
