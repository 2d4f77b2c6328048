"""Weights that stream: the same numbers to the last bit, within the budget, on both devices."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from smartmem.cli.main import main
from smartmem.compiler import compile_model
from smartmem.errors import UserError
from smartmem.passes.iree.cache import Cache
from smartmem.passes.target import Storage
from smartmem.replan import replan
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.session import load


class Blocks(nn.Module):
    """Matmuls, a norm, a table read at both ends (tied, in one layout), and two heads that can run
    at one time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(48, 128))
        self.mix = nn.ModuleList([nn.Linear(128, 128) for _ in range(4)])
        self.norm = nn.LayerNorm(128)
        self.heads = nn.ModuleList([nn.Linear(128, 96), nn.Linear(128, 32)])

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        x = nn.functional.embedding(ids, self.table)
        for layer in self.mix:
            x = x + torch.relu(layer(x))
        x = self.norm(x)
        again = nn.functional.embedding(ids.flip(0), self.table) * 2
        return (again, *(h(x) for h in self.heads))


INPUTS = (torch.arange(16),)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Blocks().eval()


@pytest.fixture(scope="module")
def streamed(net: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The net, compiled once for each target with a budget that holds everything."""
    made: dict[str, Path] = {}

    def get(target: str) -> Path:
        if target not in made:
            made[target] = tmp_path_factory.mktemp(target) / "net.smartmem"
            compile_model(
                net, INPUTS, targets=(target,), out=made[target], budget="100%", cache=Cache(None)
            )
        return made[target]

    return get


@pytest.mark.parametrize("target", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_streaming_changes_no_bit(
    net: nn.Module, streamed: Callable[[str], Path], tmp_path: Path, target: str, share: float
) -> None:
    whole = streamed(target)
    plan = Bundle.open(whole).report(target)["streaming"]
    assert plan["streamed_bytes"] == 0
    least = plan["smallest_budget_bytes"]
    budget = least + round(share * (plan["weights_bytes"] - least))
    made = replan(whole, budget, out=tmp_path / "net.smartmem")
    report = made.reports[target]["streaming"]
    assert report["peak_weight_bytes"] <= budget
    assert report["streamed_bytes"] > 0
    expected = load(whole, target)(*INPUTS)
    session = load(made.path, target)
    with torch.no_grad():
        reference = net(*INPUTS)
    for _ in range(2):
        for found, wanted, eager in zip(session(*INPUTS), expected, reference, strict=True):
            assert torch.equal(found, wanted)
            assert float((found - eager).norm() / eager.norm()) <= 1e-5


def test_the_verb_shows_a_plan_and_writes_another(
    streamed: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out, picture = str(streamed("cpu")), tmp_path / "half.smartmem", tmp_path / "plan.svg"
    assert main(["plan", whole, "--budget", "60%", "-o", str(out), "--plot", str(picture)]) == 0
    assert "exposed" in capsys.readouterr().out
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    assert main(["plan", str(out), "--curve", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["peak_weight_bytes"] <= shown["budget_bytes"]
    assert (
        sum(row["hidden_bytes"] + row["exposed_bytes"] for row in shown["steps"])
        == (shown["streamed_bytes"])
    )
    assert min(other["predicted_us"] for other in shown["compared"]) >= shown["bound_us"]
    latencies = [point["predicted_us"] for point in shown["curve"]]
    assert latencies[-1] == shown["predicted_preloaded_us"] == min(latencies)
    few = ["--curve", "--measure", "cpu", "--plot", str(picture), "--json"]
    assert main(["plan", str(out), *few]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["measured"]["warm_median_seconds"] > 0
    budgets = [point["budget_bytes"] for point in shown["curve"]]
    assert budgets == sorted(set(budgets)) and budgets[0] == shown["smallest_budget_bytes"]
    assert all(point["measured_seconds"] > 0 for point in shown["curve"])
    assert all(p["peak_weight_bytes"] <= p["budget_bytes"] for p in shown["curve"])
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.count("<circle") == len(budgets) and "pinned: " in drawn
    assert main(["plan", str(out), "--steps"]) == 0
    assert "longest dispatch" in capsys.readouterr().out


def test_a_budget_too_small_is_refused(streamed: Callable[[str], Path], tmp_path: Path) -> None:
    least = Bundle.open(streamed("cpu")).report("cpu")["streaming"]["smallest_budget_bytes"]
    with pytest.raises(UserError, match=f"smallest feasible budget is {least} bytes"):
        replan(streamed("cpu"), least - 1, out=tmp_path / "net.smartmem")
    assert not (tmp_path / "net.smartmem").exists()


def test_a_damaged_archive_is_named(streamed: Callable[[str], Path], tmp_path: Path) -> None:
    """Cut while the model is loaded: an error that names the file, no hang; and the next run works
    where the file is whole again.
    """
    made = replan(streamed("cpu"), "60%", out=tmp_path / "net.smartmem").path
    session = load(made, "cpu")
    wanted = session(*INPUTS)
    archive = made / "weights.irpa"
    content = archive.read_bytes()
    archive.unlink()
    assert torch.equal(session(*INPUTS)[0], wanted[0])
    archive.write_bytes(content)
    session = load(made, "cpu")
    os.truncate(archive, len(content) // 2)
    with pytest.raises(UserError, match=r"weights.irpa: \d+ bytes, but \d+ were written"):
        session(*INPUTS)
    archive.write_bytes(content)
    assert torch.equal(session(*INPUTS)[0], wanted[0])
    archive.write_bytes(content[:-5000] + b"?" + content[-4999:])
    with pytest.raises(UserError, match=r"weights.irpa: its hash differs.*first chunk 0"):
        session.bundle.check_weights(thorough=True)


@pytest.mark.vulkan
@pytest.mark.native
@pytest.mark.parametrize(
    "storage",
    [*(pytest.param(s, marks=pytest.mark.slow) for s in ("buffer", "texel")), "image"],
)
def test_our_executor_streams_any_bundle(net: nn.Module, tmp_path: Path, storage: Storage) -> None:
    """No budget when it is compiled; and from then on any: the same bits as with all weights."""
    path = tmp_path / "net.smartmem"
    compile_model(net, INPUTS, targets=("llvmpipe",), out=path, storage=storage)
    expected = load(path, "llvmpipe", executor="smartmem")(*INPUTS)
    session = load(path, "llvmpipe", budget=1.0)
    whole = session.module.stream_stats()["whole_budget_bytes"]
    smallest = session.module.stream_stats()["smallest_budget_bytes"]
    assert smallest < 0.6 * whole
    for budget in (smallest, "60%", 0.8, whole):
        session.set_budget(budget)
        for _ in range(3):
            for found, wanted in zip(session(*INPUTS), expected, strict=True):
                assert torch.equal(found, wanted)
        stats = session.module.stream_stats()
        assert stats["pinned_bytes"] + stats["arena_bytes"] <= stats["budget_bytes"]
        assert (stats["streamed_bytes"] == 0) == (stats["steps"] == 1) == (budget == whole)
        assert len(session.module.profile()) == session.module.stats()["commands"]
    with pytest.raises(UserError, match=f"the smallest feasible one is {smallest} bytes"):
        session.set_budget(smallest - 1)
    assert torch.equal(session(*INPUTS)[0], expected[0])


@pytest.mark.vulkan
@pytest.mark.native
def test_our_executor_follows_the_compiled_plan(
    net: nn.Module, streamed: Callable[[str], Path], tmp_path: Path
) -> None:
    """At the budget that it was made for, which also holds without a word; at others it plans."""
    whole = streamed("llvmpipe")
    report = Bundle.open(whole).report("llvmpipe")["streaming"]
    half = (report["smallest_budget_bytes"] + report["weights_bytes"]) // 2
    made = replan(whole, half, out=tmp_path / "net.smartmem")
    plan = made.reports["llvmpipe"]["streaming"]
    assert plan["streamed_bytes"] > 0
    expected = load(whole, "llvmpipe", executor="iree")(*INPUTS)
    session = load(made.path, "llvmpipe")
    assert session.executor == "smartmem"
    stats = session.module.stream_stats()
    assert stats["budget_bytes"] == half and stats["steps"] == plan["submissions"]
    assert stats["streamed_bytes"] == plan["streamed_bytes"]
    assert stats["pinned_bytes"] + stats["arena_bytes"] <= half
    for budget in (None, report["smallest_budget_bytes"], "auto", half):
        if budget is not None:
            session.set_budget(budget)
        for _ in range(2):
            for found, wanted in zip(session(*INPUTS), expected, strict=True):
                assert torch.equal(found, wanted)
    assert session.module.stream_stats()["steps"] == plan["submissions"]
    with torch.no_grad():
        for found, eager in zip(session(*INPUTS), net(*INPUTS), strict=True):
            assert float((found - eager).norm() / eager.norm()) <= 1e-5
    damaged = made.path / "targets" / "llvmpipe" / "stream.json"
    damaged.write_bytes(damaged.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(UserError, match=r"stream.json: its hash differs"):
        load(made.path, "llvmpipe")


@pytest.mark.vulkan
@pytest.mark.native
def test_verbs_take_a_budget(
    streamed: Callable[[str], Path],
    net: nn.Module,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "net.smartmem"
    compile_model(net, INPUTS, targets=("llvmpipe",), out=path)
    run = ["run", str(path), "--device", "llvmpipe", "--budget", "60%"]
    assert main([*run, "--json"]) == 0
    moved = json.loads(capsys.readouterr().out)["streaming"]
    assert moved["streamed_bytes"] > 0 and moved["hidden_ms"] <= moved["moving_ms"]
    assert main(run) == 0
    assert "in each run" in capsys.readouterr().out
    assert main(["run", str(path), "--device", "llvmpipe", "--budget", "1KiB"]) == 1
    assert "too small" in capsys.readouterr().err
    assert main(["run", str(streamed("cpu")), "--budget", "50%"]) == 1
    assert "for our own executor" in capsys.readouterr().err
