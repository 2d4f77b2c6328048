"""The program smartmem-run: what it reads, checks, measures and refuses."""

import json
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.runtime.native_bundle import write_bundle

from smartmem.benchmarks.bench.results import Row, Warm
from smartmem.errors import DeviceError, MismatchError, UserError
from smartmem.runtime import native_api
from smartmem.runtime.dtypes import dtype_of
from smartmem.verify import relative_l2

pytestmark = [pytest.mark.vulkan, pytest.mark.native]

RUNNER = native_api.LIBRARY.with_name("smartmem-run")
UNREAD = np.zeros(4, np.int64)
SEVEN = np.array([1, 2, 7, 7], np.int64)


def run(*arguments: Any, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [str(RUNNER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def report(*arguments: Any, code: int = 0) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json", "-", code=code).stdout)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "net.smartmem")


def saved(folder: Path, name: str, array: Any) -> Path:
    path = folder / name
    np.save(path, array)
    return path


def io(folder: Path, given: Any, expected: Any) -> list[Any]:
    """Options with these values as input and expected output."""
    return [
        *("--input", saved(folder, "x.npy", given), "--input", saved(folder, "u.npy", UNREAD)),
        *("--expect", saved(folder, "y.npy", expected)),
        *("--expect", saved(folder, "seven.npy", SEVEN)),
    ]


def test_results_are_written_and_checked(bundle: Path, tmp_path: Path) -> None:
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    out = tmp_path / "out"
    found = report(bundle, *io(tmp_path, x, x), "--output-dir", out)
    assert (found["status"], found["relative_l2"], found["reason"]) == ("ok", 0, "")
    assert found["outputs"] == [str(out / "0.npy"), str(out / "1.npy")]
    written = np.load(out / "0.npy")
    assert written.dtype == np.float32 and np.array_equal(written, x)
    assert np.load(out / "1.npy").tolist() == SEVEN.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_distance_is_that_of_verify(dtype: str, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "net.smartmem", dtype)
    values = np.linspace(-3, 3, 16).reshape(2, 8)
    x, far = (v.astype(dtype_of(dtype)) for v in (values, values * 1.5))
    x.tofile(tmp_path / "x.raw")
    far.tofile(tmp_path / "far.raw")
    saved(tmp_path, "seven.npy", SEVEN)
    saved(tmp_path, "u.npy", UNREAD)
    options: list[Any] = []
    for option, file in (("input", "x.raw"), ("input", "u.npy"), ("expect", "far.raw")):
        options += [f"--{option}", tmp_path / file]
    options += ["--expect", tmp_path / "seven.npy"]
    found = report(bundle, *options, code=MismatchError.exit_code)
    assert found["relative_l2"] == pytest.approx(relative_l2(far, x), rel=1e-6)
    assert (found["status"], found["tolerance"]) == ("wrong", 1e-4)
    assert found["reason"].startswith("y: relative L2 0.33")
    assert report(bundle, *options, "--tolerance", 0.5)["status"] == "ok"


def test_what_is_not_finite_must_stand_where_it_is_expected(bundle: Path, tmp_path: Path) -> None:
    x = np.ones((2, 8), np.float32)
    x[0, :3] = np.nan, np.inf, -np.inf
    assert report(bundle, *io(tmp_path, x, x))["status"] == "ok"
    turned = np.where(np.isinf(x), -x, x)
    wrong = report(bundle, *io(tmp_path, x, turned), code=MismatchError.exit_code)
    assert wrong["reason"] == "y: NaN or infinities stand elsewhere than expected"


def test_integers_are_narrowed_and_compared_exactly(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "net.smartmem", "int32")
    x = np.arange(16).reshape(2, 8) - 8
    assert report(bundle, *io(tmp_path, x, x))["status"] == "ok"
    wrong = report(bundle, *io(tmp_path, x, x + (x == 3)), code=MismatchError.exit_code)
    assert wrong["reason"] == "y: 1 of 64 bytes differ"
    large = run(bundle, *io(tmp_path, x + (1 << 31), x), code=UserError.exit_code)
    assert "does not fit in 32 bits" in large.stderr


def test_its_json_has_the_keys_of_bench(bundle: Path, tmp_path: Path) -> None:
    found = report(
        *(bundle, "--runs", 5, "--replays", 3, "--profile", "--drift", 0.1),
        *("--cache", tmp_path / "cache"),
    )
    measured = {"status", "reason", "relative_l2", "tolerance", "load_ms", "first_ms", "warm_ms"}
    measured |= {"busy_ms", "peak_host_bytes", "device_bytes", "counts"}
    assert measured <= {field.name for field in fields(Row)} & found.keys()
    assert Warm(**found["warm_ms"]).runs == 5
    # Nothing was compared, so nothing is claimed.
    assert found["relative_l2"] is None and found["tolerance"] is None
    assert (found["replays"], found["differing_replays"]) == (3, 0)
    assert [row["name"] for row in found["profile"]] == ["copy", "copy", "fill"]
    assert [load["cache_hit"] for load in found["loads"]] == [False, True]
    assert found["peak_host_bytes"] > found["pss_bytes"] // 2 > 0


WRONG_USES = {
    "which model?": (),
    "unknown option --fast": ("MODEL", "--fast", "1"),
    "--runs needs a value": ("MODEL", "--runs"),
    "'0' is not a number of at least 1": ("MODEL", "--runs", "0"),
    "'1.5' is not a count": ("MODEL", "--runs", "1.5"),
    "one model at a time": ("MODEL", "MODEL"),
    "no target 'cpu'": ("MODEL", "--target", "cpu"),
    "--input 1 times, but the model has x": ("MODEL", "--input", "x.npy"),
    "manifest.json: No such file": ("nowhere.smartmem",),
}


@pytest.mark.parametrize("reason", WRONG_USES)
def test_wrong_use_is_told(reason: str, bundle: Path) -> None:
    arguments = (bundle if word == "MODEL" else word for word in WRONG_USES[reason])
    assert reason in run(*arguments, code=UserError.exit_code).stderr


def test_an_unknown_device_is_told(bundle: Path) -> None:
    done = run(bundle, "--device", "Adreno", code=DeviceError.exit_code)
    assert "no Vulkan device 'Adreno'; there is: " in done.stderr


BAD_ARRAYS = {
    "has the shape [8, 2], but x": np.zeros((8, 2), np.float32),
    "numbers of type <f8, but x": np.zeros((2, 8)),
    "not a row-major array": np.asfortranarray(np.zeros((2, 8), np.float32)),
    "not a row-major array of numbers": np.zeros((2, 8), [("a", np.float32)]),
}


@pytest.mark.parametrize("reason", BAD_ARRAYS)
def test_an_array_of_another_form_is_told(reason: str, bundle: Path, tmp_path: Path) -> None:
    array = BAD_ARRAYS[reason]
    done = run(bundle, *io(tmp_path, array, array), code=UserError.exit_code)
    assert reason in done.stderr


def test_a_cut_array_is_told(bundle: Path, tmp_path: Path) -> None:
    x = np.zeros((2, 8), np.float32)
    options = io(tmp_path, x, x)
    whole = (tmp_path / "x.npy").read_bytes()
    for length in (5, 7, 9, 40, len(whole) - 1):
        (tmp_path / "x.npy").write_bytes(whole[:length])
        assert "x.npy: " in run(bundle, *options, code=UserError.exit_code).stderr


def test_the_devices_are_listed() -> None:
    first = json.loads(run("--devices").stdout)["devices"][0]
    names = [device.name for device in native_api.devices()]
    assert first["name"] == names[0] and first["offers"]["name"] == names[0]


@pytest.mark.parametrize("budget", ["100%", "16", "0.5KiB"])
def test_weights_under_a_budget(budget: str, bundle: Path, tmp_path: Path) -> None:
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    found = report(bundle, *io(tmp_path, x, x), "--budget", budget, "--replays", 2)
    assert (found["status"], found["differing_replays"]) == ("ok", 0)
    streaming = found["streaming"]
    assert streaming["smallest_budget_bytes"] <= streaming["budget_bytes"]
    assert streaming["pinned_bytes"] + streaming["arena_bytes"] <= 512
    assert "weights " in run(bundle, "--budget", budget).stdout


@pytest.mark.parametrize(
    ("budget", "why"),
    [("1B", "the smallest feasible one is"), ("half", "is no size"), ("120%", "is no size")],
)
def test_a_budget_that_cannot_be_kept(budget: str, why: str, bundle: Path) -> None:
    assert why in run(bundle, "--budget", budget, code=UserError.exit_code).stderr
