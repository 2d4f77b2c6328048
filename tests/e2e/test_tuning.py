"""`smartmem tune` measures, writes, merges; `smartmem compile` uses what it wrote."""

import json
from pathlib import Path

import pytest
import torch
from nets import Function

from smartmem.cli.main import main
from smartmem.compiler import compile_model
from smartmem.passes.target import resolve
from smartmem.passes.tuning.database import Database, load
from smartmem.runtime.devices import find
from smartmem.tuning.tune import tune
from smartmem.tuning.units import units
from smartmem.verify import verify

pytestmark = [pytest.mark.vulkan, pytest.mark.native, pytest.mark.slow]

SHAPE = "64x48x32"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tuning") / "llvmpipe.json"
    assert main(["tune", SHAPE, "--device", "llvmpipe", "--seconds", "4", "--out", str(file)]) == 0
    return file


def test_what_was_measured_is_used(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = load(tuned)
    ((key, entry),) = database.entries.items()
    assert key == "contraction f32 64x48x32 lhs=0,2 rhs=2,1 result=0,1"
    assert entry.tried >= 3
    assert entry.rule_us is not None
    assert entry.us <= entry.rule_us
    model = Function(lambda a, b: torch.relu(a @ b)).eval()
    example = (torch.randn(64, 32), torch.randn(32, 48))

    def compiled(name: str, tuning: str | Path) -> tuple[Path, dict[str, object]]:
        made = compile_model(
            model, example, targets=("llvmpipe",), out=tmp_path / name, tuning=tuning
        )
        return made.path, made.reports["llvmpipe"]["tuning"]

    path, used = compiled("tuned.smartmem", tuned)
    assert used == {"database": database.digest, "dispatches": 1}
    assert compiled("off.smartmem", "off")[1] == {"database": "", "dispatches": 0}
    again, _ = compiled("again.smartmem", tuned)
    for file in sorted(path.rglob("*")):
        other = again / file.relative_to(path)
        assert file.is_dir() or file.read_bytes() == other.read_bytes(), file
    (config,) = json.loads((path / "targets/llvmpipe/plan.json").read_text())["kernels"].values()
    if entry.config:
        assert tuple(config["workgroup"]) == entry.config.workgroup
        assert tuple(config["thread"]) == entry.config.thread
    verify(path, model, example, device="llvmpipe").raise_on_mismatch()
    assert (
        main(["compile", "suite:vit-tiny/tiny", "--target", "llvmpipe", "--tuning", "x.json"]) == 1
    )
    assert "x.json: cannot be read" in capsys.readouterr().err


def test_databases_are_merged(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = load(tuned)
    ((key, entry),) = held.entries.items()
    other = tmp_path / "other.json"
    more = Database(held.family, held.iree, {key.replace("64x48", "8x48"): entry})
    other.write_text(more.to_json())
    out = tmp_path / "both.json"
    merging = ["tune", "--merge", str(tuned), "--merge", str(other), "--out", str(out), "--json"]
    assert main(merging) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 2
    assert main(["tune", "--out", str(out)]) == 1
    assert "nothing to measure" in capsys.readouterr().err


def test_what_computes_something_else_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from smartmem.passes.iree.cache import Cache

    monkeypatch.setattr("smartmem.tuning.measure.distance", lambda expected, actual: 1.0)
    device, target = find("llvmpipe"), resolve("llvmpipe")
    found = units([SHAPE], target, Cache(None))
    result = tune(found, target, device, seconds=2)
    assert result.database.entries == {}
    assert result.unmeasured == (found[0].key,)
