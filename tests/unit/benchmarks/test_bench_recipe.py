"""Weights from seeds: the same numbers everywhere, and every archive they stand for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smartmem.benchmarks.bench.bundle import (
    LEAST_DRAWN,
    draw_weights,
    write_recipe,
    write_state,
)
from smartmem.benchmarks.bench.contenders.model import model_of
from smartmem.benchmarks.bench.recipe import KEPT, RECIPE, STATE, Drawn, Recipe, write_weights
from smartmem.benchmarks.bench.task import Task
from smartmem.benchmarks.models import suite
from smartmem.dialects.archive import ArchiveEntry
from smartmem.dialects.layouts import Layout
from smartmem.errors import UserError
from smartmem.runtime.archive import write_archive
from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.manifest import Manifest


def test_the_numbers_never_change() -> None:
    drawn = Drawn(1, (2, 2), -1.0, 1.0).draw()
    assert drawn.dtype == np.float32
    expected = [
        [0.023643136024475098, 0.9009273052215576],
        [-0.7116808891296387, 0.8972988128662109],
    ]
    assert drawn.tolist() == expected
    many = Drawn(2, (64, 1000), 1.0, 3.0).draw()
    assert 1.0 <= many.min() < 1.001 and 2.999 < many.max() <= 3.0
    assert abs(float(many.mean()) - 2.0) < 0.01


class Net(nn.Module):
    """A large convolution before a batch norm, and two large linear layers of one shape."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 64, 3)
        self.norm = nn.BatchNorm2d(64)
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(self.norm(self.conv(x)).mean((2, 3))))


def test_large_weights_are_drawn_and_statistics_follow() -> None:
    torch.manual_seed(0)
    model, inputs = Net().eval(), (torch.randn(1, 8, 9, 9),)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    drawn = draw_weights(model, inputs)
    after = model.state_dict()
    shapes = {name: one.shape for name, one in drawn.items()}
    large = {"conv.weight": (64, 8, 3, 3), "first.weight": (64, 64), "second.weight": (64, 64)}
    assert shapes == large
    assert all(np.prod(shape) >= LEAST_DRAWN for shape in shapes.values())
    for name in large:
        assert not torch.equal(before[name], after[name])
        assert after[name].std().item() == pytest.approx(before[name].std().item(), rel=0.05)
    assert not torch.equal(after["first.weight"], after["second.weight"])
    assert torch.equal(before["first.bias"], after["first.bias"])
    assert not torch.equal(before["norm.running_var"], after["norm.running_var"])
    assert not model.norm.training


def test_the_archive_is_written_anew(tmp_path: Path) -> None:
    drawn = {
        "first": Drawn(1, (64, 32, 3), -1.0, 1.0),
        "second": Drawn(2, (64, 32, 3), -1.0, 1.0),
    }
    weights = {name: one.draw() for name, one in drawn.items()}
    weights["bias"] = np.arange(7, dtype=np.float32)
    weights["mask"] = np.array([True, False, True])
    row_major = Layout.row_major(3)
    entries = [
        ArchiveEntry("first@[1, 2, 0]", ("first",), 0, Layout((1, 2, 0))),
        ArchiveEntry("second", ("second",), 0, row_major),
        ArchiveEntry("first+second", ("first", "second"), 1, row_major),
        ArchiveEntry("packed", ("first",), 0, Layout((0, 1, 2), ((2, 4),), ((0, 66),))),
        ArchiveEntry("first:f16@[1, 2, 0]", ("first",), 0, Layout((1, 2, 0)), rounded=True),
        ArchiveEntry("bias", ("bias",), 0, Layout.row_major(1)),
        ArchiveEntry("mask", ("mask",), 0, Layout.row_major(1)),
    ]
    arrays = {entry.name: entry.packed(weights) for entry in entries}
    # Computed with since it was drawn: its name and layout are not enough.
    entries.append(ArchiveEntry("second@[0, 2, 1]", ("second",), 0, Layout((0, 2, 1))))
    arrays["second@[0, 2, 1]"] = entries[-1].packed(weights) + 1
    bundle = tmp_path / "model.smartmem"
    with BundleWriter(bundle) as writer:
        writer.write_weights(arrays)
        writer.add_target("cpu", kind="cpu", iree_target="host", vmfb=b"", plan={}, report={})
        tree = {"kind": "tuple", "items": []}
        manifest = writer.finish(
            inputs=(),
            outputs=(),
            input_tree={
                "kind": "tuple",
                "items": [tree, {"kind": "dict", "items": [], "keys": []}],
            },
            output_tree=tree,
            versions={},
            source={},
        )
    before = (bundle / "weights.irpa").read_bytes()
    recipe = write_recipe(bundle / "weights.irpa", entries, drawn, tmp_path)
    assert set(recipe.made) == set(entries[:5])
    assert set(recipe.kept) == {"bias", "mask", "second@[0, 2, 1]"}
    assert recipe.drawn == drawn
    assert Recipe.of_json(json.loads((tmp_path / RECIPE).read_text())) == recipe
    (bundle / "weights.irpa").unlink()
    write_weights(tmp_path, bundle, manifest)
    assert (bundle / "weights.irpa").read_bytes() == before


class Tied(nn.Module):
    """A large weight of two names, a small one and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(128, 64)
        self.head = nn.Linear(64, 128)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.rand(3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(tokens)) * self.scale.sum()


def test_a_contender_starts_from_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of a bundle go into the suite's model, whatever numbers that had."""
    tokens = torch.arange(5)
    model = Tied().eval()
    drawn = draw_weights(model, (tokens,))
    archive = tmp_path / "weights.irpa"
    # Under either name: which one the exporter takes is its own affair.
    assert drawn["embed.weight"] == drawn["head.weight"]
    write_archive(archive, {"a": model.embed.weight.detach().numpy()})
    held = ArchiveEntry("a", ("head.weight",), 0, Layout.row_major(2))
    assert write_recipe(archive, [held], drawn, tmp_path).made == (held,)
    write_state(model, drawn, tmp_path)
    assert (tmp_path / STATE).stat().st_size < model.embed.weight.nbytes / 4

    monkeypatch.setattr(suite, "build", lambda _: (Tied().eval(), (tokens,)))
    task = Task("tied", "tiny", "cpu", "local-task", "cpu", tmp_path)
    again, _ = model_of(task)
    assert torch.equal(again(tokens), model(tokens))


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "model.smartmem"
    bundle.mkdir()
    archive = bundle / "weights.irpa"
    write_archive(archive, {"bias": np.ones(4, np.float32)})
    write_recipe(archive, [], {}, tmp_path)
    archive.unlink()
    manifest = _manifest(sha256="of another archive")
    with pytest.raises(UserError, match="differ from those it was compiled with"):
        write_weights(tmp_path, bundle, manifest)
    assert list(bundle.iterdir()) == []
    assert (tmp_path / KEPT).is_file()


def _manifest(sha256: str) -> Manifest:
    from smartmem.runtime.manifest import WeightsEntry

    weights = WeightsEntry("weights.irpa", sha256, 0, 1)
    return Manifest((), (), {}, {}, {}, weights, {}, {})
