"""What ``torch.export`` cannot trace, and a model in training mode, told in one quiet message."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smartmem.errors import UnsupportedError, UserError
from smartmem.frontend.export import export

Capture = pytest.CaptureFixture[str]


class Function(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def branch(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


X = torch.ones(3)
# What asks for a tensor's values: the row's op, part of its remedy.
UNTRACEABLE = {
    "a branch": (branch, X, "control flow", "torch.where"),
    "a number": (lambda x: x * int(x.sum().item()), X, "control flow", "torch.where"),
    "equal": (lambda x: torch.equal(x, x + 1), X, "aten.equal.default", "(a == b).all()"),
    "allclose": (lambda x: torch.allclose(x, x + 1), X, "aten.allclose.default", "isclose"),
    "one_hot": (nn.functional.one_hot, X.long(), "aten.one_hot.default", "pass num_classes"),
}


@pytest.mark.parametrize(("function", "x", "op", "remedy"), UNTRACEABLE.values(), ids=UNTRACEABLE)
def test_what_depends_on_values_is_unsupported(
    capfd: Capture, function: Callable[..., Any], x: Tensor, op: str, remedy: str
) -> None:
    with pytest.raises(UnsupportedError, match="depends on the values of a tensor") as caught:
        export(Function(function), (x,))
    (row,) = caught.value.rows
    assert row.op == op
    assert "test_tracing.py:" in row.location
    assert "depend" in row.reason
    assert remedy in row.remedy
    assert capfd.readouterr() == ("", "")


def test_torchs_own_words_are_for_debugging(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMEM_DEBUG", "1")
    with pytest.raises(UnsupportedError):
        export(Function(branch), (X,))
    assert "torch.ops.aten.sum" in capfd.readouterr().err


def test_what_the_model_says_is_kept(capsys: Capture) -> None:
    def talks(x: Tensor) -> Tensor:
        sys.stderr.write("loud\n")
        return branch(x)

    with pytest.raises(UnsupportedError):
        export(Function(talks), (X,))
    assert capsys.readouterr().err == "loud\n"


def test_other_failures_are_the_callers() -> None:
    with pytest.raises(UserError, match=r"could not trace Linear .*reduction dim"):
        export(nn.Linear(4, 4), (X,))


def test_a_function_is_compiled_whatever_its_mode() -> None:
    module = Function(torch.relu)
    assert module.training
    assert any(n.target is torch.ops.aten.relu.default for n in export(module, (X,)).graph.nodes)


@pytest.mark.parametrize("module", [nn.Dropout(), nn.BatchNorm1d(3)], ids=["dropout", "norm"])
def test_ops_of_training_mode_are_refused(module: nn.Module) -> None:
    with pytest.raises(UserError, match="is in training mode") as caught:
        export(module.train(), (torch.ones(2, 3),))
    assert "model.eval()" in str(caught.value.hint)


def test_sparse_inputs_and_weights_are_refused() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.eye(3).to_sparse())

        def forward(self, x: Tensor) -> Tensor:
            return torch.sparse.mm(self.table, torch.ones(3, 3)) + x.to_dense()

    with pytest.raises(UnsupportedError) as caught:
        export(Sparse(), (torch.eye(3).to_sparse(),))
    rows = [(row.op, row.location, row.remedy) for row in caught.value.rows]
    dense = "make it dense: tensor.to_dense()"
    assert rows == [("buffer", "'table'", dense), ("input", "'x'", dense)]
    assert "layout torch.sparse_coo is not supported" in caught.value.rows[0].reason
