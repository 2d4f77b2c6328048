"""The models written here: same structure in all sizes, alive, and their parts by definition."""

import pytest
import torch
from torch import nn

from smartmem.benchmarks.models import (
    autoformer,
    biformer,
    blocks,
    conformer,
    crossformer,
    cswin,
    efficientvit,
    flattenformer,
    suite,
    yolov8,
)
from smartmem.benchmarks.models.registry import SIZES

pytestmark = pytest.mark.slow

OWN = (
    "autoformer",
    "biformer",
    "c3d",
    "conformer",
    "crossformer",
    "cswin",
    "deepvit",
    "driving-depth",
    "driving-detector",
    "driving-planner",
    "driving-segmenter",
    "efficientvit",
    "flattenformer",
    "image-gan",
    "pose",
    "r2plus1d",
    "resnext",
    "smtformer",
    "style-transfer",
    "yolov8n",
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", OWN)
def test_every_size_has_every_kind_of_module(name: str) -> None:
    kinds = []
    for size in SIZES:
        with torch.device("meta"):
            model, _ = suite.find(name).build(size)
        kinds.append({type(module) for module in model.modules()})
    assert kinds[0] == kinds[1] == kinds[2]


def outputs(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    with torch.no_grad():
        made = model(*inputs)
    return [made] if isinstance(made, torch.Tensor) else list(made)


@pytest.mark.parametrize("name", OWN)
def test_tiny_models_are_alive_and_built_from_a_seed(name: str) -> None:
    model, inputs = suite.build(f"{name}/tiny")
    others = tuple(
        x if x.dtype == torch.bool else drawn(*x.shape, seed=7 + i) for i, x in enumerate(inputs)
    )
    first, other = outputs(model, inputs), outputs(model, others)
    for one, two in zip(first, other, strict=True):
        assert one.isfinite().all()
        assert (one - two).float().norm() > 0.01 * one.float().norm(), "ignores its input"
    again, same = suite.build(f"{name}/tiny")
    assert all(map(torch.equal, inputs, same))
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))


def test_relative_positions() -> None:
    table = torch.arange(25).view(5, 5)
    rows = blocks.relative_positions(3)
    for i in range(9):
        for j in range(9):
            down, right = i // 3 - j // 3, i % 3 - j % 3
            assert rows[i, j] == table[down + 2, right + 2]


def test_windows_and_back() -> None:
    x = drawn(2, 6, 6, 5)
    windows = autoformer.windows_of(x, 3)
    assert torch.equal(windows[1], x[0, :3, 3:].reshape(9, 5))
    assert torch.equal(autoformer.image_of(windows, 3, 6), x)


def test_shifted_windows_keep_wrapped_parts_apart() -> None:
    side, window, shift = 6, 3, 1
    places = torch.arange(side * side).view(1, side, side, 1)
    rolled = torch.roll(places, (-shift, -shift), (1, 2))
    members = autoformer.windows_of(rolled, window).squeeze(-1)
    row, column = members // side, members % side
    near = ((row[:, :, None] - row[:, None]).abs() < window) & (
        (column[:, :, None] - column[:, None]).abs() < window
    )
    assert torch.equal(autoformer.shift_mask(side, window, shift) == 0, near)


def test_routed_attention_sees_the_best_regions_only() -> None:
    torch.manual_seed(0)
    layer = biformer.RoutedAttention(8, head_width=4, regions=2, routed=2)
    nn.init.zeros_(layer.enhance.weight)
    nn.init.zeros_(layer.enhance.bias)
    x = drawn(1, 4, 4, 8)
    query, key, value = layer.qkv(x).view(16, 3, 8).unbind(1)
    region = (torch.arange(4) // 2)[:, None] * 2 + torch.arange(4) // 2
    region = region.flatten()
    means = [torch.stack([part[region == r].mean(0) for r in range(4)]) for part in (query, key)]
    best = (means[0] @ means[1].T).topk(2).indices
    allowed = (best[region][:, :, None] == region).any(1)
    heads = [
        (q @ k.T * 8**-0.5).masked_fill(~allowed, -torch.inf).softmax(-1) @ v
        for q, k, v in zip(query.split(4, 1), key.split(4, 1), value.split(4, 1), strict=True)
    ]
    expected = layer.project(torch.cat(heads, 1)).view(1, 4, 4, 8)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("far", [False, True])
def test_groups_near_and_far(far: bool) -> None:
    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(1, keepdim=True).expand_as(x)

    block = crossformer.Block(16, heads=1, group=2, side=6, far=far)
    block.norm1, block.attention = nn.Identity(), Mean()
    for parameter in block.mlp.parameters():
        nn.init.zeros_(parameter)
    x = drawn(1, 36, 16)
    grid = x.view(6, 6, 16)
    group = grid[1::3, 2::3] if far else grid[0:2, 2:4]
    place = 1 * 6 + 2
    expected = x[0, place] + group.mean((0, 1))
    torch.testing.assert_close(block(x)[0, place], expected)


def test_stripes() -> None:
    layer = cswin.StripeAttention(4, heads=1, side=4, height=4, width=2)
    nn.init.zeros_(layer.enhance.weight)
    nn.init.zeros_(layer.enhance.bias)
    qkv = drawn(3, 1, 16, 4)
    inside = torch.arange(16) % 4 // 2 == 1
    query, key, value = (part[inside] for part in qkv[:, 0])
    expected = (query @ key.T * 0.5).softmax(-1) @ value
    torch.testing.assert_close(layer(qkv)[0, inside], expected)


def test_relu_attention_is_a_weighted_mean() -> None:
    torch.manual_seed(0)
    layer = efficientvit.LinearAttention(8, 4).eval()
    layer.project = nn.Identity()
    x = drawn(1, 8, 3, 5)
    plain = layer.qkv(x)
    scales = torch.cat((plain, layer.aggregate(plain)), 1).view(4, 3, 4, 15)
    query, key, value = (part.transpose(1, 2) for part in scales.unbind(1))
    weights = query.relu() @ key.relu().transpose(1, 2)
    expected = weights @ value / (weights.sum(-1, keepdim=True) + 1e-6)
    made = layer(x).view(4, 4, 15).transpose(1, 2)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def test_focused_attention_is_a_weighted_mean() -> None:
    torch.manual_seed(0)
    layer = flattenformer.FocusedAttention(8, heads=2, side=3)
    layer.project = nn.Identity()
    nn.init.zeros_(layer.restore.weight)
    nn.init.zeros_(layer.restore.bias)
    x = drawn(1, 9, 8)
    key, value = layer.pair(x).split(8, -1)
    query, key = layer.focused(layer.query(x)), layer.focused(key + layer.position)
    torch.testing.assert_close(
        query.norm(dim=-1),
        (layer.query(x).relu() / nn.functional.softplus(layer.scale)).norm(dim=-1),
        rtol=1e-4,
        atol=1e-4,
    )
    for head in (slice(0, 4), slice(4, 8)):
        weights = query[0, :, head] @ key[0, :, head].T
        expected = weights @ value[0, :, head] / (weights.sum(-1, keepdim=True) + 1e-6)
        torch.testing.assert_close(layer(x)[0, :, head], expected, rtol=1e-4, atol=1e-5)


def test_scores_by_distance_become_scores_by_key() -> None:
    scores = drawn(1, 2, 4, 7)
    made = conformer.shifted(scores)
    for query in range(4):
        for key in range(4):
            # Column 0 holds the distance 3, column 6 the distance -3.
            assert torch.equal(made[..., query, key], scores[..., query, 3 - (query - key)])


def test_boxes_are_decoded_around_their_places() -> None:
    head = yolov8.Head((16, 16, 16), classes=2, side=64)
    places = 8 * 8 + 4 * 4 + 2 * 2
    boxes = torch.full((1, 4, yolov8.BINS, places), -100.0)
    # Distances of 1, 2, 3 and 4 strides to the left, top, right and bottom.
    for side in range(4):
        boxes[:, side, side + 1] = 100.0
    made = head.decoded(boxes.view(1, 4 * yolov8.BINS, places))
    # The second place of the first level has its centre at (1.5, 0.5) strides of 8.
    assert made[0, :, 1].tolist() == pytest.approx([(1.5 + 1) * 8, (0.5 + 1) * 8, 4 * 8, 6 * 8])
    assert made[0, 2:, -1].tolist() == pytest.approx([4 * 32, 6 * 32])
