"""verify: what counts as equal, with a stand-in for the session so that nothing is compiled."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from smartmem.errors import MismatchError, UserError
from smartmem.runtime.session import Session
from smartmem.verify import VerifyReport, compare_output, relative_l2, tolerance_of, verify

A = np.linspace(-1, 1, 100, dtype=np.float32)
B = np.linspace(2, 1, 100, dtype=np.float32)


class FakeSession(Session):
    """Looks like a session; computes with torch."""

    def __init__(self, function: Callable[..., Any], *names: str) -> None:
        self.function = function
        self.names = names

    bundle = cast(
        Any,
        SimpleNamespace(
            check_weights=lambda thorough: None, check_target=lambda name, thorough: None
        ),
    )
    device = cast(Any, SimpleNamespace(name="fake"))
    path = cast(Any, "fake.smartmem")
    target = "fake"
    inputs: tuple[str, ...] = ("x",)
    precision: str = "fp32"

    @property
    def manifest(self) -> Any:
        return SimpleNamespace(
            inputs=self.inputs,
            outputs=[SimpleNamespace(name=name) for name in self.names],
            targets={self.target: SimpleNamespace(precision=self.precision)},
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Model(torch.nn.Module):
    """Two outputs, one of them of integers; in training it would add noise."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        noise = torch.rand_like(x) if self.training else 0
        return {"y": x * 2 + noise, "sign": torch.sign(x).long()}


def right(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"y": x * 2, "sign": torch.sign(x).long()}


EXAMPLE = (torch.linspace(-1, 1, 24).reshape(2, 3, 4),)


def run(function: Callable[..., Any], **options: Any) -> VerifyReport:
    return verify(FakeSession(function, "y", "sign"), Model(), EXAMPLE, **options)


def test_equal() -> None:
    report = run(right)
    assert report.ok
    assert [(row.name, row.case) for row in report.outputs] == [
        ("y", 0),
        ("y", 1),
        ("sign", 0),
        ("sign", 1),
    ]
    assert report.outputs[0].change >= 0.01
    assert report.outputs[0].cosine == pytest.approx(1)
    report.raise_on_mismatch()


def test_training_mode_is_left_as_it_was() -> None:
    model = Model().train()
    assert verify(FakeSession(right, "y", "sign"), model, EXAMPLE).ok
    assert model.training


def test_a_slight_difference() -> None:
    report = run(lambda x: {"y": x * 2.001, "sign": torch.sign(x).long()})
    assert not report.ok
    assert "2 of 4 comparisons fail; y: relative L2 0.0005" in report.reason
    with pytest.raises(MismatchError, match="fake on fake"):
        report.raise_on_mismatch()
    assert run(lambda x: {"y": x * 2.001, "sign": torch.sign(x).long()}, rtol=1e-3).ok


def test_a_model_of_halves_gets_their_tolerance() -> None:
    """Floats may differ by 1e-2; integers are equal, and a tolerance that is given holds."""
    floats = {name: np.ones(4, name) for name in ("float32", "float16", "int64")}
    allowed = {name: tolerance_of(array, None, "fp16") for name, array in floats.items()}
    assert allowed == {"float32": 1e-2, "float16": 1e-2, "int64": 0}
    assert tolerance_of(floats["float32"], 1e-5, "fp16") == 1e-5
    assert tolerance_of(floats["float32"], None) == 1e-4


def test_a_small_change_that_is_followed_is_no_constant() -> None:
    """At a wide tolerance a model that changes little must follow eager, not only be near."""

    class Little(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 1 + 0.01 * torch.tanh(x)

    for function, ok in (
        (Little(), True),
        (lambda x: 1 + 0.0102 * torch.tanh(x), True),
        (lambda x: 1 + 0.001 * torch.tanh(x), False),
        (lambda x: torch.ones_like(x), False),
    ):
        report = verify(FakeSession(function, "y"), Little(), EXAMPLE, rtol=0.05)
        assert report.ok is ok, report.reason


def test_integers_must_be_equal() -> None:
    report = run(lambda x: {"y": x * 2, "sign": torch.sign(x + 0.1).long()})
    assert not report.ok
    assert report.outputs[2].tolerance == 0


def test_a_constant_cannot_pass() -> None:
    constant = right(*EXAMPLE)
    report = run(lambda x: constant)
    assert report.outputs[0].ok is False
    assert not report.ok


def test_a_model_that_ignores_its_input_proves_nothing() -> None:
    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones(3)

    report = verify(FakeSession(lambda x: torch.ones(3), "y"), Constant(), EXAMPLE)
    assert not report.ok
    assert "tell it from a constant" in report.reason


def test_a_model_without_inputs_is_compared_and_need_not_change() -> None:
    class Constant(torch.nn.Module):
        def forward(self) -> torch.Tensor:
            return torch.ones(3)

    session = FakeSession(lambda: np.ones(3, np.float32), "y")
    session.inputs = ()
    assert verify(session, Constant(), ()).ok
    session.function = lambda: np.zeros(3, np.float32)
    assert not verify(session, Constant(), ()).ok


@pytest.mark.parametrize("rtol", [0.1, 0.5])
def test_a_wide_tolerance_can_pass_and_a_constant_still_not(rtol: float) -> None:
    assert run(right, rtol=rtol).ok
    constant = right(*EXAMPLE)
    assert not run(lambda x: {"y": constant["y"], "sign": torch.sign(x).long()}, rtol=rtol).ok


@pytest.mark.parametrize("rtol", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_number_above_0(rtol: float) -> None:
    with pytest.raises(UserError, match="it is a number above 0"):
        run(right, rtol=rtol)


def test_inputs_without_elements_cannot_change_anything() -> None:
    class Grown(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, torch.ones(2, 3)])

    assert verify(FakeSession(Grown(), "y"), Grown(), (torch.zeros(0, 3),)).ok


def test_an_example_drawn_from_the_same_seed_is_not_drawn_again() -> None:
    norm = torch.nn.InstanceNorm2d(3)
    example = (torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)),)
    assert verify(FakeSession(norm, "y"), norm.eval(), example, seed=0).ok


def test_inputs_written_by_the_model_do_not_leak() -> None:
    class InPlace(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mul_(2)

    example = (torch.ones(2, 3),)
    assert verify(FakeSession(lambda x: x * 2, "y"), InPlace(), example).ok
    assert torch.equal(example[0], torch.ones(2, 3))


def test_another_model() -> None:
    with pytest.raises(UserError, match="has 1 outputs, the eager model 2"):
        run(lambda x: x)


def test_json_has_no_infinities() -> None:
    report = run(lambda x: {"y": x[:1], "sign": torch.sign(x).long()})
    text = json.dumps(report.as_json(), allow_nan=False)
    assert json.loads(text)["outputs"][0]["relative_l2"] is None


def case(expected: Any, actual: Any) -> Any:
    return compare_output("o", 0, (expected, B), (actual, B))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    changed = A.copy()
    changed[3] = bad
    assert not case(A, changed).ok
    assert not case(changed, A).ok
    assert case(changed, changed).ok


def test_infinities_of_the_other_sign() -> None:
    plus, minus = A.copy(), A.copy()
    plus[0], minus[0] = np.inf, -np.inf
    assert not case(plus, minus).ok


def test_all_nan_where_eager_is_finite() -> None:
    assert not case(A, np.full_like(A, np.nan)).ok


def test_dtype_and_shape_count() -> None:
    assert "float64" in case(A, A.astype(np.float64)).reason
    assert not case(A, A.reshape(10, 10)).ok


def test_relative_l2() -> None:
    assert relative_l2(A, A) == 0
    assert relative_l2(np.array([3.0, 4.0]), np.array([3.0, 5.0])) == pytest.approx(0.2)
    assert relative_l2(np.zeros(2), np.array([3.0, 4.0])) == 5
