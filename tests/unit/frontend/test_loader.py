"""Models named on the command line: keyword arguments, and what is no model."""

from pathlib import Path

import pytest
import torch
from torch import nn

from smartmem.errors import UserError
from smartmem.frontend.loader import load_source

NETS = """
import torch

def named():
    return torch.nn.Identity(), (torch.ones(2),), {"gain": torch.ones(3)}

def plain():
    return torch.nn.Identity(), torch.ones(2)

def wrong():
    return torch.nn.Identity(), (), 3

NUMBER = 3
"""


class Scaled(nn.Module):
    def forward(self, x: torch.Tensor, *, gain: torch.Tensor) -> torch.Tensor:
        return x * gain


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loader_nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def test_keyword_arguments() -> None:
    source = load_source("loader_nets:named")
    assert [a.shape for a in source.example_inputs] == [(2,)]
    assert source.example_kwargs["gain"].shape == (3,)
    assert load_source("loader_nets:plain").example_kwargs == {}


def test_keyword_arguments_of_a_saved_program(tmp_path: Path) -> None:
    program = torch.export.export(Scaled(), (torch.ones(2),), {"gain": torch.full((2,), 3.0)})
    torch.export.save(program, tmp_path / "scaled.pt2")
    source = load_source(str(tmp_path / "scaled.pt2"))
    assert torch.equal(source.example_kwargs["gain"], torch.full((2,), 3.0))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "a dict of keyword arguments third, got int"),
        ("NUMBER", "is of type int, not a function"),
    ],
)
def test_what_is_no_model(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_source(f"loader_nets:{name}")
