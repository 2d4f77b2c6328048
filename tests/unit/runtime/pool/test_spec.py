"""`smartmem pool` and the file it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from smartmem.cli.main import main
from smartmem.errors import UserError
from smartmem.pool_spec import budget_bytes, fill, read_spec
from smartmem.runtime.pool import Pool, Schedule

Capture = pytest.CaptureFixture[str]

TWO = """
budget = "{budget}"
device = "cpu"
margin = 1.5
[models.see]
path = "net.smartmem"
period_ms = {period}
[models.plan]
path = "net.smartmem"
period_ms = {period}
after = ["see"]
take = {{ i = "see.next" }}
"""


@pytest.fixture
def folder(write: Callable[..., Path], vmfbs: dict[str, bytes], tmp_path: Path) -> Path:
    write(tmp_path / "net.smartmem", {"cpu": vmfbs["cpu"]})
    return tmp_path


def two(folder: Path, period: float = 500, budget: str = "2MiB") -> Path:
    path = folder / "two.toml"
    path.write_text(TWO.format(period=period, budget=budget), encoding="utf-8")
    return path


def test_deadlines_are_met_and_told(folder: Path, capsys: Capture) -> None:
    picture = folder / "pool.svg"
    options = ["--seconds", "1", "--plot", str(picture)]
    assert main(["pool", str(two(folder)), *options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] and shown["admission"]["ok"] and shown["report"]["ok"]
    assert [row["released"] for row in shown["report"]["tasks"]] == [2, 2]
    assert set(shown["models"]) == {"see", "plan"}
    assert 0 < shown["held_bytes_max"] <= shown["budget_bytes"]
    assert {"load", "run"} <= {event["kind"] for event in shown["events"]}
    drawn = ElementTree.parse(picture).getroot()
    assert drawn.tag.endswith("svg") and len(list(drawn)) > len(shown["events"])


def test_what_may_be_late_is_not_run(folder: Path, capsys: Capture) -> None:
    path = str(two(folder, period=0.001))
    assert main(["pool", path, "--seconds", "1"]) == 3
    out = capsys.readouterr().out
    assert "admitted      no: cpu would be used" in out and "deadlines" not in out
    assert main(["pool", path, "--check", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["report"] is None
    assert main(["pool", path, "--seconds", "0.002", "--force", "--timeline"]) == 3
    out = capsys.readouterr().out
    assert "missed in" in out and "see  |" in out


def test_models_without_periods_run_interleaved(folder: Path, capsys: Capture) -> None:
    path = folder / "both.toml"
    path.write_text(
        'budget = "50%"\ndevice = "cpu"\norder = "fair"\n'
        '[models.a]\npath = "net.smartmem"\n[models.b]\npath = "net.smartmem"\npriority = 1\n',
        encoding="utf-8",
    )
    with Pool(1) as small, pytest.raises(UserError, match="the pool has 1"):
        fill(small, read_spec(path))
    path.write_text(path.read_text("utf-8").replace('"50%"', '"100%"'), encoding="utf-8")
    assert main(["pool", str(path), "--runs", "3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["admission"] is None and shown["report"] is None
    assert [shown["models"][name]["runs"] for name in "ab"] == [3, 3]
    # One archive, two models: a share is of archives, so only one is in memory at a time.
    assert shown["models"]["a"]["loads"] + shown["models"]["a"]["prefetches"] >= 1
    assert shown["held_bytes_max"] == shown["budget_bytes"]
    assert main(["pool", str(path), "--check"]) == 1
    assert "nothing to check" in capsys.readouterr().err


def test_inputs_come_from_files_outputs_and_callables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "making_inputs.py").write_text(
        "import numpy as np\n"
        "def picture(outputs, shapes):\n"
        "    return {'x': np.full(shapes['x'], outputs['see']['y'].sum(), np.float32)}\n",
        encoding="utf-8",
    )
    for name, array in (("x", np.ones((2, 8), "f4")), ("i", [7, 8]), ("m", [True, False])):
        np.save(folder / f"{name}.npy", np.asarray(array))
    text = two(folder).read_text("utf-8")
    text = text.replace("[models.plan]", 'inputs = ["x.npy", "i.npy", "m.npy"]\n[models.plan]')
    path = folder / "fed.toml"
    path.write_text(f'{text}feed = "making_inputs:picture"\n', encoding="utf-8")
    spec = read_spec(path)
    with Pool(budget_bytes(spec), spec.device) as pool:
        feeds = fill(pool, spec)
        args, kwargs = feeds["see"]({})
        assert (
            args[0].sum() == 16 and list(args[1]) == [7, 8] and list(kwargs["m"]) == [True, False]
        )
        seen = pool.run("see", *args, **kwargs)
        args, kwargs = feeds["plan"]({"see": seen})
        assert list(args[1]) == [8, 9]
        assert np.all(args[0] == seen["y"].sum())
        assert Schedule(pool, spec.tasks, feeds).run(0.6).ok


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.replace("budget =", "budgets ="), "unknown key 'budgets'. Did you mean 'bud"),
        (lambda s: s.replace('budget = "2MiB"', ""), "two.toml: no budget"),
        (lambda s: s.replace("2MiB", "auto"), "needs a budget of its own"),
        (lambda s: s.replace("2MiB", "lots"), "cannot read the budget 'lots'"),
        (lambda s: s.replace("1.5", "0.5"), "a margin of 0.5"),
        (lambda s: s.replace("1.5", "true"), "margin is True, not a int or float"),
        (lambda s: s.replace("after", "afterr"), "models.plan: unknown key 'afterr'"),
        (lambda s: s.replace('after = ["see"]', ""), "neither waits for 'see' nor takes"),
        (lambda s: s.replace("see.next", "see.y"), "input 'i' is int64[2], but 'see.y' is float32"),
        (lambda s: s.replace("see.next", "see.nxt"), "no output 'nxt'. Did you mean 'next'"),
        (lambda s: s.replace("{ i =", "{ j ="), "no input 'j'"),
        (lambda s: s.replace('["see"]', '["sea"]'), "neither waits for 'see'"),
        (lambda s: s.replace("net.smartmem", "nets.smartmem"), "nets.smartmem"),
        (lambda s: s.replace("[models.see]", "[models.see"), "not valid TOML"),
        (lambda s: s + 'feed = "nowhere:f"\n', "no module 'nowhere'"),
        (lambda s: s + 'feed = "f"\n', "'f' names no callable"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    folder: Path, change: Callable[[str], str], says: str, capsys: Capture
) -> None:
    path = two(folder)
    path.write_text(change(path.read_text("utf-8")), encoding="utf-8")
    assert main(["pool", str(path)]) == 1
    assert says in capsys.readouterr().err


def test_a_run_that_fails_is_told(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = two(folder)
    text = path.read_text("utf-8").replace('take = { i = "see.next" }', 'feed = "breaking:feed"')
    path.write_text(text, encoding="utf-8")
    (folder / "breaking.py").write_text(
        "calls = []\n"
        "def feed(outputs, shapes):\n"
        "    calls.append(1)\n"
        "    if len(calls) > 7:\n"
        "        raise RuntimeError('no map')\n"
        "    return {}\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(folder)
    assert main(["pool", str(path), "--seconds", "1", "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    plan = next(row for row in data["report"]["tasks"] if row["model"] == "plan")
    assert plan["failed"] >= 1 and plan["error"] == "RuntimeError: no map"
    see = next(row for row in data["report"]["tasks"] if row["model"] == "see")
    assert see["failed"] == 0 and see["finished"] == 2
