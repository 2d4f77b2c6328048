"""The native executor on schedules written by hand: what it runs, and what it refuses.

Fills and copies need no kernels, so nothing here needs a compiler.
"""

import gc
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartmem.errors import DeviceError, SmartmemError, UserError
from smartmem.runtime import native_api
from smartmem.runtime import schedule as format
from smartmem.runtime.archive import write_archive
from smartmem.runtime.schedule import (
    NO_RESOURCE,
    Access,
    Command,
    Copy,
    Dispatch,
    Fill,
    Inline,
    Kernel,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Upload,
    Use,
)

pytestmark = [
    pytest.mark.vulkan,
    pytest.mark.native,
]

WEIGHT, INPUT, OUTPUT, SCRATCH, OTHER = range(5)
WEIGHTS = {"w": np.arange(16, dtype=np.int32), "b": np.arange(100, 104, dtype=np.int32)}


def copy(source: tuple[int, int], target: tuple[int, int], length: int) -> Copy:
    return Copy(
        Use(source[0], Access.READ, source[1], length),
        Use(target[0], Access.WRITE, target[1], length),
    )


# Result 0: 4 words of the input, 4 of the weight, 4 sevens. Result 1: the weight's part.
SCHEDULE = Schedule(
    resources=(
        Resource(ResourceKind.CONSTANT, 80),
        Resource(ResourceKind.INPUT, 64),
        Resource(ResourceKind.OUTPUT, 48),
        Resource(ResourceKind.TRANSIENT, 64),
        Resource(ResourceKind.TRANSIENT, 128),
    ),
    uploads=(Upload(WEIGHT, 0, 64, "w"), Upload(WEIGHT, 64, 16, "b")),
    inputs=(Port(INPUT, 0, 64), Port(NO_RESOURCE, 0, 0)),
    outputs=(Port(OUTPUT, 0, 48), Port(WEIGHT, 64, 16)),
    kernels=(),
    commands=(
        copy((INPUT, 16), (SCRATCH, 0), 16),
        copy((WEIGHT, 32), (SCRATCH, 16), 16),
        Fill(Use(OTHER, Access.WRITE, 0, 128), 7),
        copy((SCRATCH, 0), (OUTPUT, 0), 32),
        copy((OTHER, 112), (OUTPUT, 32), 16),
    ),
)
# The same, but half of the weight stands in the schedule, and set-up makes the rest: a copy of its
# first two words, through scratch memory of its own, and two sevens.
SETUP_SCRATCH = 5
SET_UP = replace(
    SCHEDULE,
    resources=(*SCHEDULE.resources, Resource(ResourceKind.TRANSIENT, 16)),
    uploads=(Upload(WEIGHT, 64, 16, "b"),),
    inlines=(Inline(WEIGHT, 32, np.arange(8, 12, dtype=np.int32).tobytes()),),
    setup=(
        copy((WEIGHT, 32), (SETUP_SCRATCH, 0), 8),
        copy((SETUP_SCRATCH, 0), (WEIGHT, 64), 8),
        Fill(Use(WEIGHT, Access.WRITE, 72, 8), 7),
    ),
)
ARGUMENT = np.arange(200, 216, dtype=np.int32)
WANTED = [204, 205, 206, 207, 8, 9, 10, 11, 7, 7, 7, 7]


@pytest.fixture(scope="module")
def device() -> native_api.Handle:
    found = next(d for d in native_api.devices() if d.kind == "cpu")
    return native_api.open_device(found.uuid)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the weights and an empty folder of kernels."""
    write_archive(tmp_path / "weights.irpa", WEIGHTS)
    (tmp_path / "kernels").mkdir()
    return tmp_path


def load(device: native_api.Handle, place: Path, data: bytes) -> native_api.Handle:
    (place / "schedule").write_bytes(data)
    files = [os.fsencode(place / name) for name in ("schedule", "kernels", "weights.irpa")]
    return native_api.Handle(
        lambda out: native_api.call("sm_model_load", device.value, *files, None, out),
        "sm_model_release",
    )


def run(model: native_api.Handle) -> list[list[int]]:
    session = native_api.Handle(
        lambda out: native_api.call("sm_session_create", model.value, out), "sm_session_release"
    )
    inputs = (native_api.ctypes.c_void_p * 2)(ARGUMENT.ctypes.data, None)
    results = [np.zeros(12, np.int32), np.zeros(4, np.int32)]
    outputs = (native_api.ctypes.c_void_p * 2)(*(r.ctypes.data for r in results))
    native_api.call("sm_session_run", session.value, inputs, outputs, 1)
    return [r.tolist() for r in results]


def test_fills_and_copies(device: native_api.Handle, place: Path) -> None:
    model = load(device, place, SCHEDULE.encode())
    assert run(model) == [WANTED, [100, 101, 102, 103]]
    stats = native_api.model_stats(model)
    # Both scratch resources are needed at once; the three writes to them depend on nothing.
    assert (stats["commands"], stats["barriers"], stats["transient_bytes"]) == (5, 1, 192)


def test_what_is_set_up_once(device: native_api.Handle, place: Path) -> None:
    model = load(device, place, SET_UP.encode())
    assert run(model) == run(model) == [WANTED, [8, 9, 7, 7]]
    stats = native_api.model_stats(model)
    # What set-up needs is gone.
    assert (stats["commands"], stats["transient_bytes"]) == (5, 192)


def test_scratch_memory_is_shared_by_lives_that_do_not_overlap(
    device: native_api.Handle, place: Path
) -> None:
    first, second, fill, third, fourth = SCHEDULE.commands
    ordered = replace(SCHEDULE, commands=(first, second, third, fill, fourth))
    model = load(device, place, ordered.encode())
    assert run(model)[0] == WANTED
    stats = native_api.model_stats(model)
    # The fill waits for the copy that reads what it overwrites.
    assert (stats["transient_bytes"], stats["barriers"]) == (128, 3)


def test_weights_that_nothing_is_loaded_into(device: native_api.Handle, place: Path) -> None:
    (place / "weights.irpa").unlink()
    model = load(device, place, replace(SCHEDULE, uploads=()).encode())
    assert run(model)[0][:4] == WANTED[:4]


def changed(**fields: Any) -> Schedule:
    return replace(SCHEDULE, **fields)


def with_command(command: Command) -> Schedule:
    return changed(commands=(*SCHEDULE.commands, command))


def with_kernel(file: str, workgroups: tuple[int, int, int] = (1, 1, 1)) -> Schedule:
    kernel = Kernel(file, "main", (format.BUFFER,), 0, 0, bytes(32))
    call = Dispatch(0, workgroups, (Use(OUTPUT, Access.WRITE, 0, 16),))
    return changed(kernels=(kernel,), commands=(call,))


WRITE, READ = Access.WRITE, Access.READ
TEXEL = format.Binding(format.BindingKind.TEXELS, format.Format.R32_SFLOAT)
# A kernel that writes texels.
TEXELS = replace(
    with_kernel("000.spv"),
    kernels=(Kernel("000.spv", "main", (TEXEL,), 0, 0, bytes(32)),),
)


def with_image(width: int, length: int = 80, **fields: Any) -> Schedule:
    binding = format.Binding(format.BindingKind.IMAGE, format.Format.R32_SFLOAT, width)
    use = Use(WEIGHT, READ, 0, length)
    fields = {"uploads": (Upload(WEIGHT, 0, 80, "w"),), **fields}
    return changed(
        kernels=(Kernel("000.spv", "main", (binding,), 0, 0, bytes(32)),),
        commands=(Dispatch(0, (1, 1, 1), (use,)),),
        **fields,
    )


def with_written(
    resource: int,
    access: Access = WRITE,
    then: Command | None = None,
    in_setup: bool = False,
    other_width: int = 1,
    **fields: Any,
) -> Schedule:
    """A kernel that writes a resource as an image of one column, and one that reads it."""
    floats = format.Format.R32G32B32A32_SFLOAT
    written = format.Binding(format.BindingKind.WRITTEN_IMAGE, floats, 1)
    fetched = format.Binding(format.BindingKind.IMAGE, floats, other_width)
    size = SCHEDULE.resources[resource].size_bytes
    commands: list[Command] = [Dispatch(0, (1, 1, 1), (Use(resource, access, 0, size),))]
    if other_width != 1:
        commands.append(Dispatch(1, (1, 1, 1), (Use(resource, READ, 0, size),)))
    if then is not None:
        commands.append(then)
    kernels = [Kernel("000.spv", "main", (b,), 0, 0, bytes(32)) for b in (written, fetched)]
    where = "setup" if in_setup else "commands"
    fields = {"outputs": (), "commands": (), where: tuple(commands), **fields}
    return changed(kernels=tuple(kernels), **fields)


BAD_SCHEDULES = {
    "an image without whole rows": with_image(3),
    "an image without whole rows again": with_image(0),
    "an image that is a part of a resource": with_image(5, 40),
    "an image that is an input or an output": with_written(OUTPUT),
    "a weight that is written as an image": with_written(WEIGHT, in_setup=True),
    "an image that is read as it is written": with_written(SCRATCH, Access.BOTH),
    "texels that are written again": with_written(SCRATCH, READ),
    "an image that is used as a buffer": with_written(SCRATCH, then=SCHEDULE.commands[0]),
    "a result that is an image": with_written(SCRATCH, outputs=(Port(SCRATCH, 0, 64),)),
    "an image that set-up computes": with_written(SCRATCH, in_setup=True),
    "an image of two kinds": with_written(SCRATCH, other_width=2),
    "an image that no one upload fills": with_image(5, uploads=SCHEDULE.uploads),
    "an image that set-up writes": with_image(5, setup=(Fill(Use(WEIGHT, WRITE, 0, 16), 0),)),
    "texels that are written": TEXELS,
    "a write to a constant": with_command(Fill(Use(WEIGHT, WRITE, 0, 16), 0)),
    "a write to an input": with_command(Fill(Use(INPUT, WRITE, 0, 16), 0)),
    "outside its resource": with_command(Fill(Use(SCRATCH, WRITE, 60, 8), 0)),
    "outside its resource again": with_command(Fill(Use(SCRATCH, WRITE, (1 << 64) - 4, 8), 0)),
    "a resource that does not exist": with_command(Fill(Use(9, WRITE, 0, 8), 0)),
    "a use of no bytes": with_command(Fill(Use(SCRATCH, WRITE, 0, 0), 0)),
    "a fill of broken words": with_command(Fill(Use(SCRATCH, WRITE, 2, 4), 0)),
    "a fill without a target": with_command(Fill(Use(SCRATCH, READ, 0, 4), 0)),
    "a copy of a range to itself": with_command(copy((SCRATCH, 0), (SCRATCH, 8), 16)),
    "between ranges of unequal size": with_command(
        Copy(Use(INPUT, READ, 0, 8), Use(SCRATCH, WRITE, 0, 4))
    ),
    "a kernel that does not exist": with_command(Dispatch(0, (1, 1, 1), ())),
    "without all its kernel's bindings": replace(
        with_kernel("000.spv"), commands=(Dispatch(0, (1, 1, 1), ()),)
    ),
    "a kernel in no plain file": with_kernel("../weights.irpa"),
    "000.spv: No such file": with_kernel("000.spv"),
    "has no entry 'x'": changed(uploads=(Upload(WEIGHT, 0, 64, "x"),)),
    "has 16 bytes, too few": changed(uploads=(Upload(WEIGHT, 0, 16, "b", 4),)),
    "an upload to no constant": changed(uploads=(Upload(INPUT, 0, 64, "w"),)),
    "an input that lies in no input": changed(inputs=(Port(OUTPUT, 0, 48), *SCHEDULE.inputs[1:])),
    "an unused input with bytes": changed(inputs=(Port(NO_RESOURCE, 0, 4),)),
    "of no or absurd size": changed(
        resources=(*SCHEDULE.resources, Resource(ResourceKind.TRANSIENT, 0))
    ),
    "a set-up that uses inputs or outputs": changed(setup=(Fill(Use(OUTPUT, WRITE, 0, 16), 0),)),
    "a set-up that uses inputs or outputs again": changed(
        setup=(copy((INPUT, 0), (WEIGHT, 0), 16),)
    ),
    "a use of what only set-up knows": changed(setup=(Fill(Use(SCRATCH, WRITE, 0, 16), 0),)),
    "an output that only set-up knows": replace(
        SET_UP, outputs=(Port(SETUP_SCRATCH, 0, 16), Port(WEIGHT, 64, 16))
    ),
    "an upload without a name": changed(uploads=(Upload(WEIGHT, 0, 64, ""),)),
    "a text with a zero byte": changed(uploads=(Upload(WEIGHT, 0, 64, "w\0"),)),
}


@pytest.mark.parametrize("reason", BAD_SCHEDULES)
def test_a_schedule_that_makes_no_sense(
    reason: str, device: native_api.Handle, place: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load(device, place, BAD_SCHEDULES[reason].encode())
    assert reason.removesuffix(" again") in str(caught.value)


def test_more_memory_than_there_is(device: native_api.Handle, place: Path) -> None:
    resources = (*SCHEDULE.resources, Resource(ResourceKind.TRANSIENT, 1 << 45))
    use = Use(5, Access.WRITE, 0, 64)
    large = changed(resources=resources, commands=(*SCHEDULE.commands, Fill(use, 0)))
    model = load(device, place, large.encode())
    with pytest.raises(DeviceError, match="more than the device has"):
        run(model)


def _with_right_hash(data: bytes) -> bytes:
    """The file as an attacker would write it: size and hash fit the content."""
    head, rest = data[:64], data[64:]
    digest = format.hashlib.sha256(rest).digest()
    return head[:16] + len(data).to_bytes(8, "little") + digest + head[56:64] + rest


def _mutations(data: bytes, count: int) -> Callable[[], bytes]:
    generator = random.Random(count)

    def mutate() -> bytes:
        changed = bytearray(data)
        for _ in range(generator.choice((1, 1, 2, 4))):
            position = generator.randrange(len(changed))
            width = generator.choice((1, 4, 8))
            value = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))
            changed[position : position + width] = bytes([value]) * width
        if generator.random() < 0.1:
            del changed[generator.randrange(len(changed)) :]
        return bytes(changed)

    return mutate


@pytest.mark.slow
def test_hostile_schedules_never_crash(device: native_api.Handle, place: Path) -> None:
    mutate = _mutations(SET_UP.encode(), 1500)
    loaded = 0
    for _ in range(1500):
        try:
            model = load(device, place, _with_right_hash(mutate()))
            if (sizes := _sizes(model)) == ([64, 0], [48, 16]):
                run(model)
            assert sizes
            loaded += 1
        except SmartmemError:
            pass
    # Neither is everything refused for one reason, nor nothing looked at.
    assert 50 < loaded < 1000
    assert run(load(device, place, SCHEDULE.encode()))[0] == WANTED


@pytest.mark.slow
def test_hostile_images_never_crash(device: native_api.Handle, place: Path) -> None:
    """They are laid out before their kernels are looked for: none is there."""
    mutate = _mutations(with_written(SCRATCH).encode(), 500)
    for _ in range(500):
        with pytest.raises(SmartmemError):
            load(device, place, _with_right_hash(mutate()))


def _sizes(model: native_api.Handle) -> tuple[list[int], list[int]]:
    library = native_api.library()
    return (
        [
            library.sm_model_input_bytes(model.value, i)
            for i in range(library.sm_model_input_count(model.value))
        ],
        [
            library.sm_model_output_bytes(model.value, i)
            for i in range(library.sm_model_output_count(model.value))
        ],
    )


@pytest.mark.slow
def test_hostile_archives_never_crash(device: native_api.Handle, place: Path) -> None:
    archive = place / "weights.irpa"
    mutate = _mutations(archive.read_bytes()[:512], 500)
    refused = 0
    for _ in range(500):
        archive.write_bytes(mutate())
        try:
            run(load(device, place, SCHEDULE.encode()))
        except SmartmemError:
            refused += 1
    assert 50 < refused < 500


def test_a_damaged_schedule_is_told(device: native_api.Handle, place: Path) -> None:
    data = bytearray(SCHEDULE.encode())
    data[100] ^= 1
    with pytest.raises(UserError, match="its hash differs"):
        load(device, place, bytes(data))


@pytest.mark.slow
def test_loading_again_and_again_takes_no_memory(device: native_api.Handle, place: Path) -> None:
    def cycles(count: int) -> int:
        for _ in range(count):
            run(load(device, place, SCHEDULE.encode()))
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    before = cycles(100)
    assert cycles(500) - before < 2 << 20


def test_an_unknown_device() -> None:
    with pytest.raises(DeviceError, match="no Vulkan device of this identity"):
        native_api.open_device(bytes(16))


def test_no_driver(tmp_path: Path) -> None:
    code = "from smartmem.runtime import native_api; native_api.devices()"
    environment = {**os.environ, "VK_DRIVER_FILES": str(tmp_path), "VK_ICD_FILENAMES": "none"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "DeviceError: no Vulkan driver of 1.1 or later" in done.stderr
