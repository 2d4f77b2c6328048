"""The planner of the driving stack: polylines of agents and lanes in, ways to drive out.

After VectorNet (CVPR'20) for the polylines and Wayformer (ICRA'23) for the queries.
"""

from dataclasses import dataclass

import torch
from torch import nn

from smartmem.benchmarks.models.blocks import Mlp, small_normal
from smartmem.benchmarks.models.registry import Inputs, Size, normal, register, seeded

AGENT_FEATURES, LANE_FEATURES, EGO_FEATURES = 8, 4, 10


@dataclass(frozen=True)
class Config:
    """Agents and past steps, lanes and their points, the network, plans and their steps."""

    agents: int
    past: int
    lanes: int
    points: int
    width: int
    layers: int
    heads: int
    plans: int
    steps: int


CONFIGS: dict[Size, Config] = {
    "full": Config(64, 11, 192, 20, 256, 6, 8, 12, 80),
    "bench": Config(32, 11, 96, 20, 128, 3, 4, 6, 80),
    "tiny": Config(5, 4, 7, 3, 16, 1, 2, 3, 6),
}


class PolylineEncoder(nn.Module):
    """[B, lines, points, features] to [B, lines, width]: points see the maximum of their line."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        half = width // 2
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, half), nn.LayerNorm(half), nn.ReLU())
            for inputs in (features, width, width)
        )

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            points = layer(lines)
            whole = points.max(2, keepdim=True).values.expand_as(points)
            lines = torch.cat((points, whole), -1)
        return lines.max(2).values


class Attention(nn.Module):
    """Queries [B, n, width] attend to a scene [B, m, width], of which ``seen`` [B, m] is valid."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.pair = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def by_head(self, x: torch.Tensor) -> torch.Tensor:
        """[B, n, width] to [B, heads, n, width / heads]."""
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(
        self, x: torch.Tensor, scene: torch.Tensor, seen: torch.Tensor | None
    ) -> torch.Tensor:
        key, value = (self.by_head(part) for part in self.pair(scene).chunk(2, -1))
        mask = None if seen is None else seen[:, None, None, :]
        mixed = nn.functional.scaled_dot_product_attention(
            self.by_head(self.query(x)), key, value, attn_mask=mask
        )
        return self.project(mixed.transpose(1, 2).flatten(2))


class SceneLayer(nn.Module):
    """Attention among the valid elements of a scene, and an MLP: [B, m, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = Attention(width, heads), Mlp(width, 4 * width)

    def forward(self, scene: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        normed = self.norm1(scene)
        scene = scene + self.attention(normed, normed, seen)
        return scene + self.mlp(self.norm2(scene))


class PlanLayer(nn.Module):
    """Plans attend to each other, then to the scene: [B, plans, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.among, self.around = Attention(width, heads), Attention(width, heads)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, plans: torch.Tensor, scene: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        normed = self.norm1(plans)
        plans = plans + self.among(normed, normed, None)
        plans = plans + self.around(self.norm2(plans), scene, seen)
        return plans + self.mlp(self.norm3(plans))


class Planner(nn.Module):
    """Agents [B, a, t, 8], lanes [B, l, p, 4], the own car [B, 10] and which are valid [B, a + l].

    Returns positions [B, plans, steps, 2] and the plans' probabilities [B, plans].
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.steps = config.steps
        self.agents = PolylineEncoder(AGENT_FEATURES, width)
        self.lanes = PolylineEncoder(LANE_FEATURES, width)
        self.kinds = small_normal(2, width)
        self.ego = nn.Linear(EGO_FEATURES, width)
        self.plans = nn.Parameter(torch.randn(1, config.plans, width))
        self.scene = nn.ModuleList(SceneLayer(width, config.heads) for _ in range(config.layers))
        self.decoder = nn.ModuleList(PlanLayer(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.moves = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 2 * config.steps)
        )
        self.score = nn.Linear(width, 1)

    def forward(
        self, agents: torch.Tensor, lanes: torch.Tensor, ego: torch.Tensor, seen: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scene = torch.cat(
            (self.agents(agents) + self.kinds[0], self.lanes(lanes) + self.kinds[1]), 1
        )
        for layer in self.scene:
            scene = layer(scene, seen)
        plans = self.plans + self.ego(ego).unsqueeze(1)
        for layer in self.decoder:
            plans = layer(plans, scene, seen)
        plans = self.norm(plans)
        moves = self.moves(plans).view(*plans.shape[:2], self.steps, 2)
        return moves.cumsum(2), self.score(plans).squeeze(-1).softmax(-1)


@register("driving-planner", title="Driving stack: planner on polylines", kind="transformer")
def driving_planner(size: Size) -> tuple[nn.Module, Inputs]:
    """Polyline encoders, a masked transformer over the scene, queries that become trajectories."""
    config = CONFIGS[size]
    elements = config.agents + config.lanes
    # A sixth of the places is padding.
    seen = (torch.arange(elements, device="cpu") % 6 != 5).unsqueeze(0)
    inputs = (
        normal(1, config.agents, config.past, AGENT_FEATURES),
        normal(1, config.lanes, config.points, LANE_FEATURES),
        normal(1, EGO_FEATURES),
        seen,
    )
    return seeded(lambda: Planner(config)), inputs
