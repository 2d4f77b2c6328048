"""check: what is slow and why, what is not supported, what the device needs; nothing compiled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smartmem.check import CheckReport, check
from smartmem.cli.main import main
from smartmem.passes.iree import driver
from smartmem.passes.rules.slow import RULES

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
F = nn.functional


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        return self.function(*args)


def attend(tokens: int) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    return Of(F.scaled_dot_product_attention), tuple(torch.randn(1, 2, tokens, 16) for _ in "qkv")


def image(channels: int, size: int) -> tuple[torch.Tensor]:
    return (torch.randn(1, channels, size, size),)


# Rule, a model that it is about, and one that is close to it and fine.
CASES: dict[str, Any] = {
    "gather-view": (
        (Of(lambda x: torch.roll(x, 3, 1) * 2), (torch.randn(64, 96),)),
        (Of(lambda x: x.t() * 2), (torch.randn(64, 96),)),
    ),
    "odd-reduction": (
        (nn.Linear(63, 64), (torch.randn(64, 63),)),
        (nn.Linear(64, 64), (torch.randn(64, 64),)),
    ),
    "odd-columns": (
        (nn.Linear(64, 66), (torch.randn(64, 64),)),
        (nn.Linear(64, 68), (torch.randn(64, 64),)),
    ),
    "odd-softmax": (
        (nn.Softmax(-1), (torch.randn(64, 197),)),
        (nn.Softmax(-1), (torch.randn(64, 224),)),
    ),
    "odd-attention": (attend(49), attend(64)),
    "long-softmax": (
        (nn.Softmax(-1), (torch.randn(2, 8194),)),
        (nn.Softmax(-1), (torch.randn(2, 8192),)),
    ),
    "dense-3d": (
        (nn.Conv3d(4, 4, 3), (torch.randn(1, 4, 8, 8, 8),)),
        (nn.Conv3d(4, 4, (1, 3, 3)), (torch.randn(1, 4, 8, 8, 8),)),
    ),
    "dense-large-window": (
        (nn.Conv2d(16, 16, 7), image(16, 14)),
        (nn.Conv2d(16, 16, 7, groups=16), image(16, 14)),
    ),
    "sort": (
        (Of(lambda x: torch.sort(x)[0]), (torch.randn(8, 64),)),
        (Of(lambda x: torch.amax(x, -1)), (torch.randn(8, 64),)),
    ),
    "scan": (
        (Of(lambda x: torch.cumsum(x, -1)), (torch.randn(8, 64),)),
        (Of(lambda x: torch.sum(x, -1)), (torch.randn(8, 64),)),
    ),
    "large-tensor": (
        (Of(lambda x: x + x.t()), (torch.randn(1, 1).expand(6000, 6000),)),
        (Of(lambda x: x + x.t()), (torch.randn(1, 1).expand(5000, 5000),)),
    ),
    "float32-weights": (
        (nn.Linear(64, 64), (torch.randn(4, 64),)),
        (nn.Linear(64, 64).half(), (torch.randn(4, 64).half(),)),
    ),
}


def checked(case: Any, target: str = "adreno") -> CheckReport:
    module, inputs = case
    return check(module.eval(), inputs, targets=(target,))


def names(report: CheckReport) -> list[str]:
    return [slow.rule for slow in report.targets[0].slow]


class Together(nn.Module):
    """Several models side by side: exporting is what takes the time of these tests."""

    def __init__(self, cases: list[Any]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(module for module, _ in cases)
        self.counts = [len(inputs) for _, inputs in cases]

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        rest = iter(inputs)
        return [
            part(*(next(rest) for _ in range(count)))
            for part, count in zip(self.parts, self.counts, strict=True)
        ]


def together(position: int) -> Any:
    cases = [pair[position] for pair in CASES.values()]
    return Together(cases), tuple(tensor for _, inputs in cases for tensor in inputs)


def test_every_rule_has_a_case() -> None:
    assert list(CASES) == [rule.name for rule in RULES]


def test_rules_find_what_they_are_about_and_where() -> None:
    report = checked(together(0))
    assert names(report) == list(CASES)
    found = {slow.rule: slow for slow in report.targets[0].slow}
    assert "test_check.py:" in found["gather-view"].locations[0]
    for position, rule in enumerate(CASES):
        if rule != "float32-weights":
            assert any(f"parts.{position}" in place for place in found[rule].locations), rule
            assert len(found[rule].locations) == 1, rule
    assert all(slow.why and slow.instead and slow.source for slow in report.targets[0].slow)


def test_rules_let_pass_what_is_near() -> None:
    assert names(checked(together(1))) == ["float32-weights"]
    assert names(checked(CASES["float32-weights"][1])) == []


def test_rules_look_at_the_target() -> None:
    odd = CASES["odd-reduction"][0]
    assert "odd-reduction" not in names(checked(odd, "cpu"))
    assert "float32-weights" not in names(checked(odd, "generic"))


def test_needs_are_what_the_compiler_states() -> None:
    needs = checked(CASES["scan"][1], "adreno").targets[0].needs
    assert needs["vulkan"] == "1.3"
    assert "storageBuffer16BitAccess" in needs["features"]
    assert "SPV_KHR_16bit_storage" in needs["extensions"]
    assert needs["limits"]["shared_memory_bytes"] == 32768
    needs = checked(CASES["scan"][1], "generic").targets[0].needs
    assert (needs["vulkan"], needs["features"]) == ("1.1", ())
    assert needs["max_buffer_bytes"] == 1 << 27
    assert checked(CASES["scan"][1], "cpu").targets[0].needs == {}


def test_exact_numbers() -> None:
    report = checked((nn.Linear(64, 32), (torch.randn(4, 64),)), "cpu")
    (row,) = report.targets
    assert row.weights_bytes == 4 * (64 * 32 + 32)
    assert row.largest_tensor_bytes == 4 * 64 * 32
    assert row.dispatches_estimate == 1
    assert row.peak_transient_bytes_estimate == 0


def test_unsupported_ops_are_all_named() -> None:
    report = checked((Of(lambda x: torch.fft.fft(x).real), (torch.randn(2, 8),)))
    assert not report.ok
    assert report.targets == ()
    row = report.unsupported[0]
    assert row.op == "aten._fft_r2c.default"
    assert "test_check.py:" in row.location
    assert row.remedy


MODELS = """
import torch
from torch import nn

def good():
    return nn.Linear(64, 32).eval(), (torch.randn(4, 64),)

class Fft(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).real

def bad():
    return Fft().eval(), (torch.randn(4, 64),)

class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

class Wide(nn.Module):
    def forward(self, x):
        return x * 1000

def wide():
    return Wide(), (torch.arange(3),)

def branch():
    return Branch(), (torch.randn(4, 64),)
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "checked_models.py").write_text(MODELS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "checked_models"


def test_command(capsys: Capture, spec: str) -> None:
    assert main(["check", f"{spec}:good", "--target", "cpu", "--target", "adreno"]) == 0
    text = capsys.readouterr().out
    assert "supported       all 1 ops" in text
    assert "about 1 (estimate)" in text
    assert "Vulkan 1.3" in text
    assert "float32-weights at" in text


def test_command_json(capsys: Capture, spec: str) -> None:
    assert main(["check", f"{spec}:good", "--target", "adreno", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is True
    assert data["graph_ops"] == 1
    assert set(data["targets"]["adreno"]) == {
        "needs",
        "weights_bytes",
        "peak_transient_bytes_estimate",
        "dispatches_estimate",
        "largest_tensor_bytes",
        "slow",
    }


def test_command_on_what_is_unsupported(capsys: Capture, spec: str) -> None:
    assert main(["check", f"{spec}:bad"]) == 2
    assert "aten._fft_r2c.default" in capsys.readouterr().out
    assert main(["check", f"{spec}:bad", "--json"]) == 2
    data = json.loads(capsys.readouterr().out)
    assert (data["ok"], data["unsupported"][0]["op"]) == (False, "aten._fft_r2c.default")
    assert main(["compile", f"{spec}:bad", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["unsupported"] == data["unsupported"]


def test_command_on_integers_that_may_wrap(capsys: Capture, spec: str) -> None:
    assert main(["check", f"{spec}:wide"]) == 0
    text = capsys.readouterr().out
    assert "int64 in 32 bits: 1 result may wrap" in text
    assert "aten.mul.Tensor at checked_models.py:" in text


def test_command_on_control_flow(capsys: Capture, spec: str) -> None:
    assert main(["check", f"{spec}:branch", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.err == ""
    (row,) = json.loads(captured.out)["unsupported"]
    assert row["op"] == "control flow"
    assert row["location"].startswith("checked_models.py:")


def test_nothing_is_compiled(capsys: Capture, spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr(driver, "compile_module", fail)
    monkeypatch.setattr(driver, "_run", fail)
    assert main(["check", f"{spec}:good", "--target", "cpu"]) == 0


def test_user_errors(capsys: Capture, spec: str) -> None:
    assert main(["check", f"{spec}:good", "--target", "adrano"]) == 1
    assert "Did you mean 'adreno'?" in capsys.readouterr().err
