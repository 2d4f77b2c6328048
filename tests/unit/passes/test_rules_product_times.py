"""The model of promoted tiles is as near to what was measured as docs/kernels.md says."""

import json
from collections import defaultdict
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from statistics import fmean

from smartmem.passes.rules.kernels import Contraction, promoted
from smartmem.passes.rules.product_times import product_us
from smartmem.passes.target import known_targets

ROOT = Path(__file__).resolve().parents[3]
DATA = json.loads((ROOT / "benchmarks/results/products-nvidia-h200.json").read_text("utf-8"))
LIMITS = known_targets()["nvidia"].kernels
assert LIMITS is not None and LIMITS.products is not None
SPEEDS = LIMITS.products
SLOWER = DATA["clock_mhz"] / DATA["full_clock_mhz"]

# Predicted and measured microseconds of a tile.
Pair = tuple[float, float]


def _pair(row: Sequence[float]) -> Pair:
    _, columns, depth, parts, stored, *tile, held, _ = (int(v) for v in row[:-1])
    workgroups = stored // tile[0] * (columns // tile[1]) * parts
    sizes = (tile[0], tile[1], tile[2])
    return product_us(sizes, held, workgroups, depth // parts, SPEEDS), row[-1] * SLOWER


def _may_be_chosen(row: Sequence[float]) -> bool:
    _, columns, depth, parts, stored, *tile, held, stage = (int(v) for v in row[:-1])
    op = Contraction((parts, stored, columns, depth // parts), (0, 1, 3), (0, 3, 2), (0, 1, 2))
    return [*tile, held, stage] in [
        [*c.workgroup[1:], c.thread[1], c.store_stage] for c in promoted(op, LIMITS)
    ]


def _mean(ratios: Sequence[float]) -> float:
    return exp(fmean(map(log, ratios)))


def test_predicted_times_are_near_the_measured() -> None:
    pairs = [_pair(row) for row in DATA["products"]]
    assert len(pairs) == 264
    assert _mean([max(a / b, b / a) for a, b in pairs]) <= 1.14


def test_the_tile_of_the_least_predicted_time_is_near_the_fastest() -> None:
    by_product: dict[tuple[int, ...], list[Pair]] = defaultdict(list)
    for row in filter(_may_be_chosen, DATA["products"]):
        by_product[tuple(row[:3])].append(_pair(row))
    assert len(by_product) > 15
    slower = [min(pairs)[1] / min(us for _, us in pairs) for pairs in by_product.values()]
    assert _mean(slower) <= 1.07


def test_more_threads_pay_where_the_rule_deals_them() -> None:
    """Depthwise convolutions of 7x7, and rows of 98: the best tiles against IREE's own."""
    times: dict[tuple[str, str], list[tuple[bool, float]]] = defaultdict(list)
    for model, dispatch, tiles, us in DATA["idle"]:
        times[model, dispatch].append((tiles is None, us))
    ratios = {
        name: min(us for own, us in found if not own) / next(us for own, us in found if own)
        for (_, name), found in times.items()
    }
    depthwise = [r for name, r in ratios.items() if "depthwise" in name and "7x7_f32" in name]
    rows = [r for name, r in ratios.items() if "784x98" in name]
    assert len(depthwise) == 4 and len(rows) == 4
    assert max(depthwise) < 0.9 and max(rows) < 0.35
