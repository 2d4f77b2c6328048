"""Documents of rows: written whole, resumed, refused where not ours; words for a person."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from smartmem.benchmarks.bench import results, runner
from smartmem.benchmarks.bench.harness import Harness, Plan
from smartmem.benchmarks.bench.peers import PEERS, Peer, find
from smartmem.benchmarks.bench.results import Document, Row, Warm
from smartmem.benchmarks.bench.table import line
from smartmem.errors import DeviceError, UserError
from smartmem.runtime.devices import Device

ROW = Row(
    "net",
    "tiny",
    "cpu",
    "smartmem",
    "ok",
    relative_l2=1e-6,
    load_ms=3.0,
    first_ms=2.0,
    warm_ms=Warm.of([1.0, 2.0, 3.0]),
    counts={"dispatches": 5, "layout_dispatches": 1},
    candidates=({"name": "default", "status": "ok"},),
)


def test_warm_is_the_median_with_its_range_and_the_spread_of_two_halves() -> None:
    warm = Warm.of([1.0, 2.0, 1.0, 2.0, 9.0])
    assert (warm.median, warm.min, warm.max, warm.runs) == (2.0, 1.0, 9.0, 5)
    assert warm.spread == pytest.approx(1.0), "medians 1 of the odd runs, 2 of the even ones"
    assert Warm.of([4.0]).spread == 0.0


def test_rows_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.json"
    document = Document.start(path, resume=False)
    document.add([ROW])
    document.add([replace(ROW, contender="iree"), replace(ROW, status="crashed")])
    read = results.read(path)
    assert [row.status for row in read.rows] == ["crashed", "ok"], "in place of the earlier one"
    assert read.rows[1] == replace(ROW, contender="iree")
    assert read.machine["memory_gib"] > 0
    assert "numpy" in read.versions
    assert [file.name for file in path.parent.iterdir()] == ["out.json"]


def test_resuming_needs_the_same_machine_and_versions(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    Document.start(path, resume=True).add([ROW])
    assert Document.start(path, resume=True).rows == [ROW]
    assert Document.start(path, resume=False).rows == []
    data = json.loads(path.read_text())
    data["versions"]["numpy"] = "0.1"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="another machine or with other versions"):
        Document.start(path, resume=True)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "other"}', '{"format": "smartmem bench 1"}']
)
def test_a_file_that_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "out.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not a document"):
        Document.start(path, resume=True)


def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "out.json"):
        with pytest.raises(UserError, match="cannot write"):
            Document.start(path, resume=False)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_only_a_right_answer_has_a_time() -> None:
    assert "warm 2.00 ms (1.00 to 3.00, 3 runs" in line(ROW)
    assert "cold 3 + 2 ms" in line(ROW)
    wrong = replace(ROW, status="wrong", reason="output 0: relative L2 0.28, allowed 0.0001")
    assert line(wrong).endswith("WRONG (output 0: relative L2 0.28, allowed 0.0001)")
    assert " ms" not in line(wrong)
    assert line(replace(ROW, status="timeout", reason="slow")).endswith("timeout: slow")


def test_unknown_contenders_get_the_nearest_spelling() -> None:
    with pytest.raises(UserError, match=r"'inducter'.* Did you mean 'inductor'"):
        find(["eager", "inducter"])
    assert [peer.name for peer in find(["ort", "eager", "ort"])] == ["ort", "eager"]


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_contender_has_its_module(peer: Peer) -> None:
    from importlib import import_module

    module = import_module(peer.module)
    assert callable(module.build) and callable(module.load)


def test_a_run_keeps_finished_rows_and_measures_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def fake(self: Harness, peers: list[Peer]) -> list[Row]:
        task = self._task
        asked.append((task.model, tuple(peer.name for peer in peers)))
        return [Row(task.model, task.size, self._device, peer.name, "ok") for peer in peers]

    monkeypatch.setattr(Harness, "measure", fake)
    device = Device("cpu", "cpu", "local-task", "local-task", "x86_64", "cpu", {})
    request = runner.Request(("a", "b"), "tiny", (device,), tuple(find(["smartmem", "eager"])))
    document = Document.start(tmp_path / "out.json", resume=True)
    document.add(
        [Row("a", "tiny", "cpu", "smartmem", "ok"), Row("b", "full", "cpu", "eager", "ok")]
    )
    shown: list[Row] = []
    runner.run(request, document, show=shown.append, progress=lambda _: None)
    assert asked == [("a", ("eager",)), ("b", ("smartmem", "eager"))]
    assert len(shown) == 3
    assert len(results.read(tmp_path / "out.json").rows) == 5
    asked.clear()
    runner.run(request, document, show=shown.append, progress=lambda _: None)
    assert asked == []
    again = replace(request, plan=Plan(again=True), models=("a",))
    runner.run(again, document, show=shown.append, progress=lambda _: None)
    assert asked == [("a", ("smartmem",))]


def test_a_device_that_disappears_is_an_error() -> None:
    gone = Device("a GPU", "gpu", "vulkan://no-such-device", "", "", "generic", {})
    with pytest.raises(DeviceError, match="'a GPU' has disappeared"):
        runner.check_present(gone)


def test_peers_are_installed_on_demand_only() -> None:
    script = Path(__file__).parents[3] / "scripts" / "requirements.py"

    def packages(stage: str) -> set[str]:
        command = [sys.executable, script, stage]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {line.split("==")[0] for line in done.stdout.split()}

    assert {"ncnn", "onnxruntime"} <= packages("bench")
    assert not packages("bench") & packages("rest")
