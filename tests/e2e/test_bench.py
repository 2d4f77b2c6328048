"""`smartmem bench` on the smallest model of the suite, and its messages for bad input."""

import json
from pathlib import Path

import pytest

from smartmem.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_ours_and_eager(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "bench.json"
    arguments = ["bench", "vit-tiny", "--size", "tiny", "--device", "cpu", "--against", "eager"]
    assert main([*arguments, "--runs", "3", "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(out.read_text())
    ours, eager = document["rows"]
    assert (ours["contender"], ours["status"]) == ("smartmem", "ok")
    assert 0 < ours["relative_l2"] <= 1e-4
    assert ours["warm_ms"]["runs"] == eager["warm_ms"]["runs"] == 3
    assert ours["counts"]["dispatches"] > 0
    assert ours["compile_s"] > 0
    assert ours["peak_host_bytes"] < eager["peak_host_bytes"], "ours is without torch"
    assert eager["runs_on"] == "torch cpu"
    assert main([*arguments, "--out", str(out), "--resume"]) == 0
    assert capsys.readouterr().out == "", "nothing was left to measure"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vit-tinny"], "Did you mean 'vit-tiny'?"),
        (["vit-tiny", "--against", "irree"], "Did you mean 'iree'?"),
        (["vit-tiny", "--resume"], "Name it with --out"),
        (["vit-tiny", "--bundle", "somewhere"], "--bundle and --target belong together"),
    ],
)
def test_unknown_names_and_options(arguments: list[str], message: str, capsys: Capture) -> None:
    assert main(["bench", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_an_unknown_device_gets_the_nearest_spelling(capsys: Capture) -> None:
    assert main(["bench", "vit-tiny", "--device", "cpv"]) == 4
    assert "Did you mean 'cpu'?" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["nosuch", "cpv"])
def test_a_bundle_that_fails_leaves_nothing(target: str, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "there"
    arguments = ["vit-tiny", "--size", "tiny", "--bundle", str(folder), "--target", target]
    assert main(["bench", *arguments]) == 1
    assert f"unknown target '{target}'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, *_: object) -> None:
        folder.mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr("smartmem.benchmarks.bench.bundle._write_model", interrupted)
    folder = tmp_path / "there"
    arguments = ["vit-tiny", "--size", "tiny", "--bundle", str(folder), "--target", "cpu"]
    assert main(["bench", *arguments]) == 130
    assert not list(tmp_path.iterdir())
