"""Every op knows the line of the model it comes from, without paths of this machine."""

import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from unit.frontend.nets import Block, Net, imported, imported_net

import smartmem.cli.main
from smartmem.frontend import dynamo, source
from smartmem.frontend.source import Source
from smartmem.passes.base import block_ops, functions


def line_of(cls: type, text: str) -> int:
    """The line of ``text`` in the source of ``cls``."""
    lines, first = inspect.getsourcelines(cls)
    return first + next(i for i, line in enumerate(lines) if text in line)


def locations(op: str) -> list[str]:
    with imported_net() as program:
        main = next(functions(program.module))
        return [str(o.location) for o in block_ops(main) if o.operation.name == f"layout.{op}"]


@pytest.mark.parametrize(
    ("op", "cls", "text", "path"),
    [
        ("attention", Block, "scaled_dot_product_attention", "block"),
        ("layer_norm", Block, "self.norm(x)", "block.norm"),
        ("conv", Net, "self.stem(x)", "stem"),
        ("reduce", Net, "image.mean", ""),
    ],
)
def test_file_line_and_module(op: str, cls: type, text: str, path: str) -> None:
    (found,) = locations(op)
    place = f'"unit/frontend/nets.py":{line_of(cls, text)}:0'
    assert found == (f'loc("{path}"({place}))' if path else f"loc({place})")


def test_no_path_of_this_machine() -> None:
    with imported_net() as program:
        text = program.module.operation.get_asm(enable_debug_info=True)
    roots = [str(Path.cwd()), str(Path.home()), *filter(None, sys.path)]
    assert [root for root in roots if len(root) > 1 and f'"{root}' in text] == []
    assert 'loc("/' not in text


def test_frames_of_libraries_are_passed_over() -> None:
    """A line inside torch.nn is attributed to the caller in the model."""

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.Hardswish()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(x)

    with imported(Wrapped(), torch.zeros(2, 3)) as program:
        ops = block_ops(next(functions(program.module)))
        places = {str(o.location) for o in ops if o.operation.name == "layout.elementwise"}
    line = line_of(Wrapped, "self.act(x)")
    assert places == {f'loc("act"("unit/frontend/test_source.py":{line}:0))'}


def test_source_as_text() -> None:
    assert str(Source("encoder.0", "model.py", 12)) == "model.py:12 (encoder.0)"
    assert str(Source("", "model.py", 12)) == "model.py:12"
    assert str(Source("", "", 0)) == "unknown line"


@pytest.mark.parametrize("own", [smartmem.cli.main.__file__, dynamo.__file__])
def test_our_own_frames_are_passed_over(own: str) -> None:
    """Also where they are the innermost; a user's folder of our name is the user's."""
    frames = [("/home/me/smartmem/nets.py", 7), (own, 97), ("/x/torch/fx.py", 3)]
    trace = "".join(f'File "{file}", line {line}, in f\n' for file, line in frames)
    found = source.source_of(SimpleNamespace(meta={"stack_trace": trace}))
    assert (Path(found.file).name, found.line) == ("nets.py", 7)
