"""Weights that our executor streams: schedules written by hand, of copies only.

A layer adds nothing and multiplies nothing: it copies its weight to its part of the result. So the
result is the weights, and a byte in the wrong place at the wrong time is seen.
"""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartmem.errors import DeviceError, SmartmemError, UserError
from smartmem.runtime import native_api, streaming
from smartmem.runtime.archive import PART_BYTES, write_archive
from smartmem.runtime.schedule import (
    Access,
    Command,
    Copy,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Upload,
    Use,
)
from smartmem.runtime.stream_file import GivenPlan, GivenStay, StreamFile

pytestmark = [pytest.mark.vulkan, pytest.mark.native]

NATIVE = Path(native_api.__file__).parent / "native"
LAYERS = 12
# One is larger than what is read at once, one is read twice, far apart.
SIZES = [PART_BYTES // 2 + 64 * i for i in range(LAYERS)]
SIZES[5] = 5 * PART_BYTES + 12
TWICE = 2
READER = native_api.ctypes.CFUNCTYPE(
    native_api.ctypes.c_int64,
    *(native_api.ctypes.c_void_p, native_api.ctypes.c_char_p, native_api.ctypes.c_uint64),
    *(native_api.ctypes.c_void_p, native_api.ctypes.c_size_t),
)


@pytest.fixture(scope="module")
def device() -> native_api.Handle:
    found = next(d for d in native_api.devices() if d.kind == "cpu")
    return native_api.open_device(found.uuid)


def content(layer: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(layer).integers(0, 255, SIZES[layer], np.uint8)


def schedule() -> Schedule:
    """One result: all weights, one after another, and once more the one that is read twice."""
    order = [*range(LAYERS), TWICE]
    places = np.cumsum([0, *(SIZES[layer] for layer in order)]).tolist()
    commands: list[Command] = [
        Copy(
            Use(layer, Access.READ, 0, SIZES[layer]),
            Use(LAYERS, Access.WRITE, place, SIZES[layer]),
        )
        for layer, place in zip(order, places, strict=False)
    ]
    weights = (Resource(ResourceKind.CONSTANT, size) for size in SIZES)
    return Schedule(
        resources=(*weights, Resource(ResourceKind.OUTPUT, places[-1])),
        uploads=tuple(Upload(i, 0, SIZES[i], f"w{i}") for i in range(LAYERS)),
        inputs=(),
        outputs=(Port(LAYERS, 0, places[-1]),),
        kernels=(),
        commands=tuple(commands),
    )


WANTED = b"".join(content(layer).tobytes() for layer in (*range(LAYERS), TWICE))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_archive(tmp_path / "weights.irpa", {f"w{i}": content(i) for i in range(LAYERS)})
    (tmp_path / "kernels").mkdir()
    (tmp_path / "schedule").write_bytes(schedule().encode())
    return tmp_path


def stream(device: native_api.Handle, place: Path) -> native_api.Handle:
    files = [os.fsencode(place / name) for name in ("schedule", "kernels", "weights.irpa")]
    return native_api.Handle(
        lambda out: native_api.call("sm_model_stream", device.value, *files, None, out),
        "sm_model_release",
    )


def open_session(model: native_api.Handle, budget: int) -> native_api.Handle:
    return native_api.Handle(
        lambda out: native_api.call("sm_session_create_within", model.value, budget, out),
        "sm_session_release",
    )


def run(session: native_api.Handle) -> bytes:
    result = np.zeros(len(WANTED), np.uint8)
    outputs = (native_api.ctypes.c_void_p * 1)(result.ctypes.data)
    native_api.call("sm_session_run", session.value, None, outputs, 0)
    return result.tobytes()


def budgets(model: native_api.Handle) -> list[int]:
    smallest, whole = native_api.budgets(model)
    return [smallest + (whole - smallest) * share // 100 for share in (0, 5, 30, 60, 95, 100)]


@pytest.fixture
def reader() -> Iterator[Callable[[Callable[..., int]], None]]:
    """Sets what reads weights from then on: given offset, target and size; calls pread() itself."""
    held: list[Any] = []
    native_api.library().sm_set_reader.argtypes = [native_api.ctypes.c_void_p] * 2

    def install(read: Callable[..., int]) -> None:
        hook = READER(lambda _, path, *place: read(path.decode(), *place))
        held.append(hook)
        pointer = native_api.ctypes.cast(hook, native_api.ctypes.c_void_p)
        native_api.library().sm_set_reader(pointer, None)

    yield install
    native_api.library().sm_set_reader(None, None)


def pread(path: str, offset: int, target: int, size: int) -> int:
    """What the library does itself."""
    with open(path, "rb") as file:
        found = os.pread(file.fileno(), size, offset)
    native_api.ctypes.memmove(target, found, len(found))
    return len(found)


def test_every_budget_gives_the_same(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    smallest, whole = native_api.budgets(model)
    assert smallest < SIZES[5] + 4096 and whole < sum(SIZES) + 4096
    before, _ = native_api.device_memory(device)
    for budget in budgets(model):
        session = open_session(model, budget)
        for _ in range(3):
            assert run(session) == WANTED
        stats = native_api.stream_stats(session)
        held = stats["fixed_bytes"] + stats["pinned_bytes"] + stats["arena_bytes"]
        assert held <= budget and stats["staging_bytes"] <= 16 << 20
        assert (stats["streamed_bytes"] == 0) == (budget == whole)
        assert stats["steps"] == 1 if budget == whole else stats["steps"] > 1
        result_bytes = native_api.device_memory(device)[0] - before - held
        assert result_bytes < len(WANTED) + stats["staging_bytes"] + (64 << 10)
        session.close()
        assert native_api.device_memory(device)[0] == before
        del session


def give_plan(place: Path, budget: int, **changes: Any) -> None:
    """Pairs of layers, each loaded while the pair before runs; the first and the last stay."""
    stays = tuple(
        GivenStay(f"w{layer}", max(0, layer // 2 - 1), layer // 2, layer // 2)
        for layer in range(1, LAYERS - 1)
    )
    again = GivenStay(f"w{TWICE}", LAYERS // 2, LAYERS // 2, LAYERS // 2)
    plan = GivenPlan(tuple(range(0, LAYERS + 1, 2)), (*stays, again))
    told = StreamFile(10**9, tuple(1000 for _ in range(LAYERS + 1)), budget, plan)
    (place / "stream.json").write_bytes(replace(told, **changes).encode())


def test_a_plan_that_comes_with_the_model(device: native_api.Handle, place: Path) -> None:
    """It is followed at its budget, and no other; where it does not fit, the device makes its
    own.
    """
    smallest, whole = native_api.budgets(stream(device, place))
    steps = LAYERS // 2 + 1
    for given, budget, is_followed in (
        (whole - 1, whole - 1, True),
        (whole - 1, whole - 2, False),
        (smallest, smallest, False),
    ):
        give_plan(place, given)
        session = open_session(stream(device, place), budget)
        stats = native_api.stream_stats(session)
        assert (stats["steps"] == steps) == is_followed
        if is_followed:
            still = sum(SIZES) - sum(SIZES[1 : LAYERS - 1])
            assert stats["pinned_bytes"] < still + PART_BYTES
            assert stats["streamed_bytes"] == sum(SIZES[1 : LAYERS - 1]) + SIZES[TWICE]
        assert stats["pinned_bytes"] + stats["arena_bytes"] <= budget
        assert [run(session) == WANTED for _ in range(3)] == [True] * 3
    # From its plan to another, and back.
    give_plan(place, whole - 1)
    session = open_session(stream(device, place), whole - 1)
    for budget in (smallest, whole - 1, whole, whole - 1):
        assert run(session) == WANTED
        native_api.call("sm_session_set_budget", session.value, budget)
        assert run(session) == WANTED
    assert native_api.stream_stats(session)["steps"] == steps


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"times_ns": (1,)}, "times of other commands"),
        ({"plan": GivenPlan((0, LAYERS + 1), ())}, "steps are not the schedule's"),
        ({"plan": GivenPlan((), ())}, "a plan without steps"),
        ({"plan": GivenPlan((0,), (GivenStay("w0", 0, 0, 1),))}, "a weight at no time"),
        ({"plan": GivenPlan((0,), (GivenStay("w0", 1, 0, 0),))}, "a weight at no time"),
        (
            {"plan": GivenPlan((0, 2), (GivenStay("w2", 1, 1, 1), GivenStay("w0", 0, 0, 0)))},
            "weights out of order",
        ),
    ],
)
def test_a_plan_that_makes_no_sense(
    device: native_api.Handle, place: Path, change: dict[str, Any], says: str
) -> None:
    give_plan(place, 10**9, **change)
    with pytest.raises(UserError, match=f"stream.json: .*{says}"):
        stream(device, place)


def test_a_wrong_plan_is_not_followed(device: native_api.Handle, place: Path) -> None:
    """Weights that are not there when they are read: the checker finds it, whatever the file."""
    _, whole = native_api.budgets(stream(device, place))
    for plan in (
        GivenPlan(tuple(range(LAYERS + 1)), (GivenStay("w3", 4, 4, 4),)),
        GivenPlan(tuple(range(LAYERS + 1)), (GivenStay(f"w{TWICE}", 2, 2, 2),)),
    ):
        give_plan(place, whole - 1, plan=plan)
        session = open_session(stream(device, place), whole - 1)
        assert native_api.stream_stats(session)["streamed_bytes"] != SIZES[3]
        assert run(session) == WANTED


def test_a_budget_is_chosen_by_times(device: native_api.Handle, place: Path) -> None:
    """The slower the disk, the more stays in memory; without times there is no choice."""
    model = stream(device, place)
    smallest, whole = native_api.budgets(model)
    with pytest.raises(UserError, match="compile it again, or give a size"):
        native_api.choose_budget(model)
    chosen: list[int] = []
    for rate in (10**6, 10**9, 10**11, 10**14):
        give_plan(place, 0, read_bytes_per_s=rate, plan=None, times_ns=(10**6,) * (LAYERS + 1))
        chosen.append(native_api.choose_budget(stream(device, place)))
    assert chosen == sorted(chosen, reverse=True)
    assert whole * 0.95 < chosen[0] <= whole and chosen[-1] == smallest


def test_weights_that_fit_are_read_once(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    session = open_session(model, native_api.budgets(model)[1])
    for _ in range(3):
        assert run(session) == WANTED
    assert native_api.stream_stats(session)["read_bytes"] == sum(SIZES)


def test_intervals_tell_of_steps_and_reads(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    session = open_session(model, budgets(model)[2])
    assert native_api.intervals(session) == []
    run(session)
    run(session)
    found = native_api.intervals(session)
    steps = [i for i in found if i.kind == "step"]
    assert len(steps) == native_api.stream_stats(session)["steps"]
    assert {i.kind for i in found} <= {"step", "read"}
    assert all(i.start_ns <= i.end_ns for i in found)
    # Steps begin one after another.
    assert all(a.start_ns <= b.start_ns for a, b in pairwise(steps))
    session.close()


def test_overlap_is_what_two_unions_share() -> None:
    steps = streaming.merged([(0, 10), (20, 30), (28, 40)])
    moves = streaming.merged([(5, 25), (35, 50), (24, 26)])
    assert steps == [(0, 10), (20, 40)] and moves == [(5, 26), (35, 50)]
    assert streaming.common(steps, moves) == [(5, 10), (20, 26), (35, 40)]


def test_a_budget_too_small_names_the_smallest(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    smallest, _ = native_api.budgets(model)
    with pytest.raises(UserError, match=f"the smallest feasible one is {smallest} bytes"):
        open_session(model, smallest - 1)
    session = open_session(model, smallest)
    with pytest.raises(UserError, match=f"the smallest feasible one is {smallest} bytes"):
        native_api.call("sm_session_set_budget", session.value, smallest - 1)
    assert run(session) == WANTED


def test_another_budget_while_calls_go_on(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    session = open_session(model, budgets(model)[-1])
    failures: list[BaseException] = []

    def call_again() -> None:
        try:
            for _ in range(20):
                assert run(session) == WANTED
        except BaseException as failure:
            failures.append(failure)

    caller = threading.Thread(target=call_again)
    caller.start()
    for budget in (*reversed(budgets(model)), *budgets(model)):
        native_api.call("sm_session_set_budget", session.value, budget)
        stats = native_api.stream_stats(session)
        assert stats["fixed_bytes"] + stats["pinned_bytes"] + stats["arena_bytes"] <= budget
    caller.join()
    assert not failures


def test_two_sessions_of_one_model(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    sessions = [open_session(model, budget) for budget in budgets(model)[:2]]
    found: list[bytes] = []
    callers = [
        threading.Thread(target=lambda s=session: found.extend(run(s) for _ in range(5)))
        for session in sessions
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [WANTED] * 10


_READS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from unit.runtime import test_stream as stream
from smartmem.runtime import native_api
found = next(d for d in native_api.devices() if d.kind == "cpu")
device = native_api.open_device(found.uuid)
model = stream.stream(device, Path(sys.argv[1]))
session = stream.open_session(model, native_api.budgets(model)[0])
print("ready", flush=True)
for line in sys.stdin:
    try:
        print("same" if stream.run(session) == stream.WANTED else "other", flush=True)
    except stream.UserError as error:
        print("told" if "chunk 0 of the weight" in str(error) else error, flush=True)
"""


def test_two_processes_on_one_archive(device: native_api.Handle, place: Path) -> None:
    """Both stream from it at one time; where it is damaged, both say so, and neither hangs; once it
    is right, both go on. One that is killed in the middle of a call holds nobody up.
    """
    archive = place / "weights.irpa"
    whole = archive.read_bytes()
    start = whole.index(content(3).tobytes())
    command = [sys.executable, "-c", _READS, str(place), str(Path(__file__).parents[2])]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin is not None and other.stdout is not None
    try:
        assert other.stdout.readline() == "ready\n"
        model = stream(device, place)
        session = open_session(model, native_api.budgets(model)[0])

        def both() -> tuple[str, str]:
            assert other.stdin is not None and other.stdout is not None
            other.stdin.write("run\n")
            other.stdin.flush()
            try:
                mine = "same" if run(session) == WANTED else "other"
            except UserError as error:
                mine = "told" if "chunk 0 of the weight" in str(error) else str(error)
            return mine, other.stdout.readline().strip()

        assert [both() for _ in range(3)] == [("same", "same")] * 3
        with archive.open("r+b") as file:
            file.seek(start)
            file.write(bytes([whole[start] ^ 1]))
        # Some of the next call may have been read before.
        told = [both() for _ in range(3)]
        assert told[-1] == ("told", "told")
        with archive.open("r+b") as file:
            file.seek(start)
            file.write(whole[start : start + 1])
        assert [both() for _ in range(2)] == [("same", "same")] * 2
        for _ in range(20):
            other.stdin.write("run\n")
        other.stdin.flush()
        other.kill()
        assert [run(session) == WANTED for _ in range(3)] == [True] * 3
    finally:
        other.kill()
        other.communicate()


def test_a_model_is_loaded_in_one_way(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    with pytest.raises(UserError, match="give a budget"):
        native_api.Handle(
            lambda out: native_api.call("sm_session_create", model.value, out), "sm_session_release"
        )


FAULTS: dict[str, Callable[..., int]] = {
    r"bytes \d+ to \d+ cannot be read: Input/output error \(of the weight 'w\d+'\)": (
        lambda path, offset, target, size: -5
    ),
    r"cut short: it ends before byte \d+ \(of the weight 'w\d+'\)": (
        lambda path, offset, target, size: 0
    ),
}


@pytest.mark.parametrize("message", FAULTS)
@pytest.mark.parametrize("after", [0, 4, 9, 20])
def test_a_disk_that_fails(
    message: str,
    after: int,
    device: native_api.Handle,
    place: Path,
    reader: Callable[[Callable[..., int]], None],
) -> None:
    """At some read, once: the call tells file and place, and the next one works."""
    model = stream(device, place)
    session = open_session(model, native_api.budgets(model)[0])
    reads = iter(range(1 << 30))
    reader(lambda *a: FAULTS[message](*a) if next(reads) == after else pread(*a))
    found: list[bytes | str] = []
    for _ in range(4):
        try:
            found.append(run(session))
        except UserError as error:
            found.append(str(error))
    failed = [f for f in found if isinstance(f, str)]
    assert [f for f in found if isinstance(f, bytes)] == [WANTED] * 3
    assert len(failed) == 1 and str(place / "weights.irpa") in failed[0]
    with pytest.raises(UserError, match=message):
        raise UserError(failed[0])


def test_short_and_interrupted_reads(
    device: native_api.Handle, place: Path, reader: Callable[[Callable[..., int]], None]
) -> None:
    turns = iter(range(1 << 30))

    def read(path: str, offset: int, target: int, size: int) -> int:
        interrupted = next(turns) % 3 == 0
        return -4 if interrupted else pread(path, offset, target, min(size, 100_003))

    reader(read)
    model = stream(device, place)
    assert run(open_session(model, native_api.budgets(model)[0])) == WANTED


def test_a_disk_that_stalls(
    device: native_api.Handle, place: Path, reader: Callable[[Callable[..., int]], None]
) -> None:
    """The call ends in time, and says what it waited for; closing ends, too. Memory is given back
    when the read returns.
    """
    before, _ = native_api.device_memory(device)
    model = stream(device, place)
    session = open_session(model, native_api.budgets(model)[0])
    assert run(session) == WANTED
    native_api.call("sm_session_set_read_limit", session.value, 200_000_000)
    gate = threading.Event()

    def read(*arguments: Any) -> int:
        gate.wait(60)
        return pread(*arguments)

    reader(read)
    start = time.perf_counter()
    with pytest.raises(DeviceError, match=r"weights.irpa: bytes \d+ to \d+ .*did not come within"):
        for _ in range(3):
            run(session)
    with pytest.raises(DeviceError, match="still have not come"):
        run(session)
    session.close()
    assert time.perf_counter() - start < 20
    gate.set()
    again = open_session(model, native_api.budgets(model)[0])
    assert run(again) == WANTED
    again.close()
    model.close()
    deadline = time.perf_counter() + 20
    while native_api.device_memory(device)[0] != before and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert native_api.device_memory(device)[0] == before


def test_a_call_is_cancelled(
    device: native_api.Handle, place: Path, reader: Callable[[Callable[..., int]], None]
) -> None:
    model = stream(device, place)
    session = open_session(model, native_api.budgets(model)[0])

    def read(*arguments: Any) -> int:
        time.sleep(0.05)
        return pread(*arguments)

    reader(read)
    threading.Timer(0.1, lambda: native_api.library().sm_session_cancel(session.value)).start()
    with pytest.raises(DeviceError, match="the call was cancelled"):
        run(session)
    assert run(session) == WANTED
    # Nothing to cancel: no harm.
    native_api.library().sm_session_cancel(session.value)
    assert run(session) == WANTED


def test_closing_in_the_middle(
    device: native_api.Handle, place: Path, reader: Callable[[Callable[..., int]], None]
) -> None:
    before, _ = native_api.device_memory(device)
    model = stream(device, place)

    def read(*arguments: Any) -> int:
        time.sleep(0.02)
        return pread(*arguments)

    reader(read)
    library = native_api.library()
    library.sm_session_submit.argtypes = [native_api.ctypes.c_void_p] * 2
    for pause in (0, 0.01, 0.1):
        session = open_session(model, native_api.budgets(model)[0])
        library.sm_session_submit(session.value, None)
        time.sleep(pause)
        session.close()
    model.close()
    gc.collect()
    assert native_api.device_memory(device)[0] == before


@pytest.mark.parametrize("layer", [0, 5, 11])
def test_a_changed_byte_is_found(device: native_api.Handle, place: Path, layer: int) -> None:
    """Changed in place under a loaded model, and changed back."""
    model = stream(device, place)
    session = open_session(model, native_api.budgets(model)[0])
    archive = place / "weights.irpa"
    whole = archive.read_bytes()
    at = whole.index(content(layer).tobytes()) + SIZES[layer] - 3
    with archive.open("r+b") as file:
        file.seek(at)
        file.write(bytes([whole[at] ^ 1]))
    chunk = (SIZES[layer] - 3) // PART_BYTES
    expected = rf"weights.irpa: bytes \d+ to \d+ \(chunk {chunk} of the weight 'w{layer}'\) are not"
    with pytest.raises(UserError, match=expected):
        run(session)
    archive.write_bytes(whole)
    assert run(session) == WANTED


def test_a_file_that_is_cut_or_goes(device: native_api.Handle, place: Path) -> None:
    model = stream(device, place)
    session = open_session(model, native_api.budgets(model)[0])
    archive = place / "weights.irpa"
    whole = archive.read_bytes()
    assert run(session) == WANTED
    os.truncate(archive, len(whole) // 3)
    with pytest.raises(UserError, match=r"weights.irpa: cut short: it ends before byte \d+"):
        # What is there already may do for the first.
        for _ in range(2):
            run(session)
    archive.write_bytes(whole)
    assert run(session) == WANTED
    archive.unlink()
    # Open files stay.
    assert run(session) == run(session) == WANTED
    with pytest.raises(UserError, match=r"weights.irpa: No such file"):
        stream(device, place)


def test_an_archive_without_checksums(device: native_api.Handle, place: Path) -> None:
    """As IREE writes them: it can be loaded, but not streamed."""
    from iree.runtime import ParameterIndex

    index = ParameterIndex()
    for layer in range(LAYERS):
        index.add_buffer(f"w{layer}", content(layer))
    index.create_archive_file(str(place / "weights.irpa"))
    with pytest.raises(
        UserError, match=r"weight 'w\d+' has no checksums, so it cannot be streamed"
    ):
        stream(device, place)


def test_hostile_archives_never_crash(device: native_api.Handle, place: Path) -> None:
    archive = place / "weights.irpa"
    whole = archive.read_bytes()
    generator = np.random.default_rng(0)
    ran = 0
    for _ in range(80):
        damaged = bytearray(whole)
        # Most of it is weights: what describes them is at the front.
        at = int(generator.integers(0, 2200))
        width = int(generator.choice((1, 4, 8)))
        damaged[at : at + width] = generator.bytes(width)
        archive.write_bytes(damaged)
        try:
            model = stream(device, place)
            assert run(open_session(model, native_api.budgets(model)[0])) == WANTED
            ran += 1
        except SmartmemError:
            pass
    assert 0 < ran < 80


@pytest.mark.slow
@pytest.mark.cxx
def test_plans_pass_the_checker_and_damage_is_found(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "native" / "stream_plan_test.cpp"
    code = [
        NATIVE / "src" / name
        for name in ("stream_plan.cpp", "stream_place.cpp", "stream_check.cpp")
    ]
    program = tmp_path / "test"
    includes = ["-I", NATIVE / "include", "-iquote", NATIVE / "src"]
    subprocess.run(
        ["g++", "-std=c++17", "-O1", *includes, source, *code, "-o", program], check=True
    )
    subprocess.run([program], check=True)
