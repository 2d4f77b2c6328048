"""`smartmem deploy` against a fake device: through the real adb, with the real smartmem-run."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.deploy.fake_phone import VULKAN_1_0, FakePhones
from unit.runtime.native_bundle import TARGET, write_bundle

from smartmem.benchmarks.bench import results
from smartmem.cli.main import main
from smartmem.deploy import deploy as deploying
from smartmem.errors import DeviceError, MismatchError, UserError
from smartmem.runtime import native_api

pytestmark = [pytest.mark.adb, pytest.mark.native, pytest.mark.vulkan]

Capture = pytest.CaptureFixture[str]
RUNNER = native_api.LIBRARY.with_name("smartmem-run")
X = np.arange(16, dtype=np.float32).reshape(2, 8)
SEVEN = np.array([1, 2, 7, 7], np.int64)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "net.smartmem")


def options(bundle: Path, expected: Any = X) -> list[str]:
    """Inputs and expected outputs, in files beside the bundle."""
    arrays = {
        "x": X,
        "unread": np.zeros(4, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "y": expected,
        "seven": SEVEN,
    }
    for name, array in arrays.items():
        np.save(bundle.parent / f"{name}.npy", array)
    words = ["deploy", str(bundle), "--program", str(RUNNER), "--runs", "3", "--replays", "2"]
    for option, names in (("--input", ("x", "unread", "empty")), ("--expect", ("y", "seven"))):
        for name in names:
            words += [option, str(bundle.parent / f"{name}.npy")]
    return words


def run(capsys: Capture, arguments: list[str], code: int) -> str:
    """What the command prints, errors included."""
    assert main(arguments) == code, capsys.readouterr()
    found = capsys.readouterr()
    return found.out + found.err


def test_a_model_is_run_compared_and_measured(
    phones: FakePhones, bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    out, results_folder = tmp_path / "report.json", tmp_path / "out"
    words = [*options(bundle), "--out", str(out), "--output-dir", str(results_folder)]
    run(capsys, words, 0)
    row = results.read(out).rows[0]
    assert (row.model, row.status, row.contender, row.variant) == ("net", "ok", "smartmem", TARGET)
    assert (row.relative_l2, row.tolerance) == (0.0, 1e-4)
    assert row.warm_ms and row.warm_ms.runs == 3
    assert row.load_ms and row.first_ms and row.peak_host_bytes
    found = json.loads(out.read_text(encoding="utf-8"))["deploy"]
    assert found["phone"]["model"] == "Fake 9" and found["phone"]["vulkan"] == "1.3"
    assert (found["replays"], found["differing_replays"]) == (2, 0)
    assert [load["cache_hit"] for load in found["loads"]] == [False, True]
    assert found["device_peak_bytes"] >= row.device_bytes > 0 and found["pss_bytes"] > 0
    assert len(found["profile"]) == 3 and all(check["ok"] for check in found["checks"])
    assert np.array_equal(np.load(results_folder / "0_y.npy"), X)
    # What a run needs is gone, the model and the program wait for the next one.
    assert sorted(p.name for p in (phones.place / "smartmem").iterdir()) == ["bin", "models"]


def test_only_what_changed_is_pushed(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    run(capsys, options(bundle), 0)
    assert {"smartmem-run", "manifest.json", "weights.irpa", "schedule"} <= set(phones.pushed)
    phones.pushed.clear()
    again = json.loads(run(capsys, [*options(bundle), "--json"], 0))
    assert again["deploy"]["pushed_bytes"] == 0
    assert {name for name in phones.pushed if "_in_" not in name} == set()
    phones.pushed.clear()
    (phones.place / "smartmem" / "models" / "net.smartmem" / "weights.irpa").write_bytes(b"cut")
    run(capsys, options(bundle), 0)
    assert [name for name in phones.pushed if "_in_" not in name] == ["weights.irpa"]


def test_nothing_is_left_where_that_is_wished(
    phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    run(capsys, [*options(bundle), "--remove"], 0)
    assert list(phones.place.iterdir()) == []


NOT_USABLE: dict[str, tuple[dict[str, str], list[str]]] = {
    "no Android device is connected": ({}, []),
    "several Android devices: A (Fake_9), B (Fake_9)": ({"A": "device", "B": "device"}, []),
    "A is unauthorized\nUnlock the device": ({"A": "unauthorized"}, []),
    "A is offline": ({"A": "offline"}, []),
    "no Android device 'FAKE'": ({"FAKE1": "device"}, ["--serial", "FAKE"]),
}


@pytest.mark.parametrize("reason", NOT_USABLE)
def test_a_device_that_cannot_be_used_is_told(
    reason: str, phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    phones.states, more = NOT_USABLE[reason]
    assert reason in run(capsys, [*options(bundle), *more], DeviceError.exit_code)


def test_one_of_several_is_chosen(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    phones.states = {"A": "offline", "B": "device", "C": "device"}
    assert "(B, Android 14" in run(capsys, [*options(bundle), "--serial", "B"], 0)


def old_vulkan(phones: FakePhones) -> None:
    phones.vulkan = VULKAN_1_0


def no_vulkan(phones: FakePhones) -> None:
    phones.vulkan = None


def old_android(phones: FakePhones) -> None:
    phones.properties["ro.build.version.sdk"] = "26"


def another_processor(phones: FakePhones) -> None:
    phones.properties["ro.product.cpu.abi"] = "arm64-v8a"


def little_disk(phones: FakePhones) -> None:
    phones.free_kib = 100


LACKS = {
    "Vulkan: needs 1.1, has 1.0": old_vulkan,
    "Vulkan: needs 1.1, has none": no_vulkan,
    "Android API: needs 28, has 26": old_android,
    "program: needs arm64-v8a, has x86_64": another_processor,
    "free disk: needs": little_disk,
}


@pytest.mark.parametrize("reason", LACKS)
def test_a_phone_that_lacks_something_is_told_before_it_is_sent_anything(
    reason: str, phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    LACKS[reason](phones)
    assert reason in run(capsys, options(bundle), DeviceError.exit_code)
    assert phones.pushed == []


def test_a_gpu_that_lacks_something_is_told_before_it_is_sent_the_model(
    phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    file = bundle / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    manifest["targets"][TARGET]["needs"] |= {
        "features": ["shaderFloat16", "shaderFloat8"],
        "subgroup_sizes": [64],
        "storage_buffers": 1 << 30,
        "image_formats": ["R8"],
    }
    file.write_text(json.dumps(manifest), encoding="utf-8")
    found = run(capsys, options(bundle), DeviceError.exit_code)
    assert "features: needs shaderFloat16, shaderFloat8, has not shaderFloat8" in found
    assert "subgroup sizes: needs 64, has not 64" in found
    assert f"storage buffers: needs {1 << 30}, has 32" in found
    assert "image formats: needs R8, has not R8" in found
    assert phones.pushed == ["smartmem-run"]


def test_wrong_results_have_no_time(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    words = [*options(bundle, X + 1), "--json"]
    found = json.loads(run(capsys, words, MismatchError.exit_code))
    row = found["rows"][0]
    assert row["status"] == "wrong" and row["warm_ms"] is None
    assert row["reason"].startswith("y: relative L2 0.103")


def test_a_full_disk_is_told(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    phones.full_after = 1000
    assert "the disk is full" in run(capsys, options(bundle), DeviceError.exit_code)


def test_a_device_lost_while_pushing_goes_on_from_there(
    phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    size = RUNNER.stat().st_size
    phones.lost_after = size + 100
    found = run(capsys, options(bundle), DeviceError.exit_code)
    assert "pushing to /data/local/tmp/smartmem/models/net.smartmem failed: " in found
    phones.states, phones.lost_after = {"FAKE1": "device"}, None
    phones.pushed.clear()
    run(capsys, options(bundle), 0)
    assert "smartmem-run" not in phones.pushed and "weights.irpa" in phones.pushed


def test_a_device_lost_during_a_command(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    phones.lose_shell = True
    found = run(capsys, options(bundle), DeviceError.exit_code)
    assert "FAKE1: the connection was lost during: " in found


PROGRAMS_THAT_FAIL = {
    "crashed": ("kill -SEGV $$", "ended by SIGSEGV; it last said: Segmentation fault"),
    "timeout": ('echo going; exec /usr/bin/timeout -s KILL 0.2 sleep 9', "it last said: going"),
    "failed": ("echo the device failed; exit 4", "exit code 4: the device failed"),
}  # fmt: skip


@pytest.mark.parametrize("status", PROGRAMS_THAT_FAIL)
def test_a_program_that_fails_is_told(
    status: str, phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    phones.programs["timeout"], reason = PROGRAMS_THAT_FAIL[status]
    found = json.loads(run(capsys, [*options(bundle), "--json"], DeviceError.exit_code))
    row = found["rows"][0]
    assert row["status"] == status and reason in row["reason"]
    assert row["warm_ms"] is None


def test_a_device_that_hangs_is_not_waited_for(
    phones: FakePhones, bundle: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "_GRACE_S", 1.0)
    phones.programs["timeout"] = "exec sleep 1000"
    words = [*options(bundle), "--time-limit", "1"]
    assert "FAKE1: no answer within 2 s to: cd" in run(capsys, words, DeviceError.exit_code)


WRONG_USES = {
    "what must come out is not clear": ["--source", "suite:vit"],
    "no target 'adreno'": ["--target", "adreno"],
}


@pytest.mark.parametrize("reason", WRONG_USES)
def test_wrong_use_is_told(reason: str, phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    assert reason in run(capsys, [*options(bundle), *WRONG_USES[reason]], UserError.exit_code)
    assert phones.shells == []


def test_nothing_to_compare_with(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    words = ["deploy", str(bundle), "--program", str(RUNNER)]
    assert "nothing to compare" in run(capsys, words, UserError.exit_code)


def test_devices_over_adb(phones: FakePhones, capsys: Capture) -> None:
    phones.states = {"A": "device", "B": "unauthorized"}
    rows = json.loads(run(capsys, ["devices", "--adb", "--json"], 0))["devices"]
    assert [(row["serial"], row["state"]) for row in rows] == [
        ("A", "device"),
        ("B", "unauthorized"),
    ]
    assert rows[0]["phone"]["abi"] == "x86_64" and rows[1]["phone"] is None
    assert "API 34" in run(capsys, ["devices", "--adb"], 0)


def needs_of(bundle: Path) -> list[str]:
    return ["devices", "--adb", "--model", str(bundle), "--program", str(RUNNER)]


def test_the_needs_of_a_model_beside_a_device(
    phones: FakePhones, bundle: Path, capsys: Capture
) -> None:
    found = json.loads(run(capsys, [*needs_of(bundle), "--json"], 0))
    needs = json.loads((bundle / "manifest.json").read_text())["targets"][TARGET]["needs"]
    names = {row["name"] for row in found["checks"]}
    phone = {"Android API", "ABI", "Vulkan", "free memory", "free disk", "program"}
    assert names == phone | {name.replace("_", " ") for name in needs}
    assert found["gpu"]["offers"]["vulkan"] and phones.pushed == ["smartmem-run"]
    assert "ok: needs 28, has 34" in run(capsys, needs_of(bundle), 0)


def test_what_a_device_lacks_for_a_model(phones: FakePhones, bundle: Path, capsys: Capture) -> None:
    phones.vulkan = VULKAN_1_0
    found = run(capsys, needs_of(bundle), DeviceError.exit_code)
    assert "LACKS: needs 1.1, has 1.0" in found
    assert phones.pushed == []


@pytest.mark.parametrize("words", [["--model", "net"], ["--adb", "--target", "adreno"]])
def test_needs_are_of_a_model_over_adb(words: list[str], capsys: Capture) -> None:
    said = run(capsys, ["devices", *words], UserError.exit_code)
    assert "--model is for --adb" in said or "are for --model" in said


def test_no_adb(bundle: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "adb is not installed" in run(capsys, options(bundle), DeviceError.exit_code)
