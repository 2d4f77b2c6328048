"""Rewritten arithmetic: with fast math it stays near eager on what that may assume; without, every
bit stays what it is without the pass, on odd values too.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from nets import Function
from torch import Tensor

import smartmem

_generator = torch.Generator().manual_seed(3)
SPECIAL = [0.0, -0.0, 1.0, -1.5, 1e30, -1e30, float("inf"), -float("inf"), float("nan")]


def rewritable(a: Tensor, b: Tensor, c: Tensor, w: Tensor, v: Tensor) -> dict[str, Tensor]:
    """What rules of the page are for, one by one."""
    x = a + b
    return {
        "factor": a * b + a * c,
        "square": x**2 - x * c,
        "roots": (a * b.sqrt()) * (b.sqrt() * c),
        "signs": a.abs() * (-b).abs(),
        "quotient": (-a) / (-b),
        "summed": (a * c[:, :1]).sum(1),
        "powers": a.exp().prod(1),
        "products": a @ w.T + a @ v.T,
        "constants": (a * 2.0) * 3.0,
        "norm": 1 / (a * a).sum(1, keepdim=True).sqrt(),
    }


PASS = "smartmem-rewrite-algebra"


def compiled(target: str, out: Path, inputs: Any, **options: Any) -> Any:
    """A session, and the gains of the pass if it ran."""
    made = smartmem.compile(Function(rewritable), inputs, targets=(target,), out=out, **options)
    assert made.manifest.targets[target].fast_math is options.get("fast_math", False)
    gains = [step for step in made.reports[target]["passes"] if step["name"] == PASS]
    session = smartmem.load(made.path, device="vulkan" if target == "llvmpipe" else target)
    return session, gains


def positive(*shape: int) -> Tensor:
    return torch.rand(shape, generator=_generator) + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("target", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)])
def test_fast_math_stays_near_eager(target: str, tmp_path: Path) -> None:
    inputs = (positive(5, 7), positive(5, 7), positive(5, 7), positive(4, 7), positive(4, 7))
    session, (gains,) = compiled(target, tmp_path / "net", inputs, fast_math=True)
    wanted = ("common-factor", "root-in-both", "sum-of-scaled", "product-of-exponentials")
    assert all(f"rule {name}" in gains for name in (*wanted, "products-of-one", "absolute-product"))
    expected = rewritable(*inputs)
    for name, value in session(*inputs).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.slow
def test_without_it_every_bit_stays(tmp_path: Path) -> None:
    values = torch.tensor(SPECIAL)
    a, b = values[:, None].repeat(1, len(values)), values[None].repeat(len(values), 1)
    inputs = (a, b, b.flip(1), positive(4, len(values)), positive(4, len(values)))
    session, (gains,) = compiled("cpu", tmp_path / "with", inputs)
    assert "rule absolute-product" in gains
    assert "rule common-factor" not in gains
    off, none = compiled("cpu", tmp_path / "without", inputs, disabled_passes=(PASS,))
    assert none == []
    expected = off(*inputs)
    for name, value in session(*inputs).items():
        wanted = expected[name]
        assert torch.equal(value.isnan(), wanted.isnan()), name
        number = ~wanted.isnan()
        assert value[number].view(torch.int32).equal(wanted[number].view(torch.int32)), name


@pytest.mark.slow
def test_under_torch_compile() -> None:
    torch._dynamo.reset()
    options = {"device": "cpu", "fast_math": True, "strict": True}
    run = torch.compile(lambda a, b: a * b + a, backend="smartmem", options=options)
    a, b = positive(3, 4), positive(3, 4)
    torch.testing.assert_close(run(a, b), a * b + a)
