"""The lines that describe one target's report, for `compile` and `stats`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smartmem.cli.output import size


def report_lines(target: str, report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of each line; keys that the report lacks show as `-`."""
    phases: dict[str, float] = report.get("compile_seconds", {})
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in phases.items())
    return [
        ("target", target),
        ("graph ops", _count(report, "graph_ops")),
        ("layout ops in graph", _count(report, "layout_ops_in_graph")),
        ("dispatches", _count(report, "dispatches")),
        ("layout dispatches", _count(report, "layout_dispatches")),
        ("layout bytes", _layout_bytes(report)),
        ("weights", _size(report, "weights_bytes")),
        *_precision(report),
        *texture_lines(report),
        *_streaming(report),
        ("peak transient", _size(report, "peak_transient_bytes")),
        ("compile time", f"{sum(phases.values()):.1f} s ({times})" if phases else "-"),
    ]


# How many reasons for float32 are worth a line.
_REASONS = 6


def _precision(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is held in halves, where anything is meant to be, and why the rest is not."""
    held = report.get("precision")
    if held is None:
        return []
    half, products = held["half"], f"{held['products_of_halves']} of {held['products']} products"
    bytes_ = f"{size(half['weights_bytes'])} of weights, {size(half['tensors_bytes'])} of others"
    rows = held["float32"][:_REASONS]
    return [
        ("halves", f"{bytes_}; {products} read them"),
        *(("float32", f"{size(r['bytes'])}: {r['reason']} ({r['tensors']})") for r in rows),
    ]


def texture_lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """In which kinds of memory our executor's kernels read tensors, where not all in buffers."""
    held = report.get("storage", {})
    if "of_bytes" not in held:
        return []
    image, texel, whole, every = (
        held[f"{name}_bytes"] for name in ("image", "texel", "whole_texel", "of")
    )
    in_images, in_texels, read = (
        size(held[f"activation_{name}_bytes"]) for name in ("image", "texel", "of")
    )
    kinds = f"{size(image)} in images, {size(texel)} in texel buffers, of {size(every)}"
    reasons = [*held["no_images"].items(), *held["kept_as_buffers"].items()]
    others = held["no_activation_images"].items()
    return [
        ("textures", kinds),
        ("whole texels", f"{size(whole)}, without a division in a loop"),
        ("activations", f"{in_images} in images, {in_texels} in texel buffers, of {read}"),
        *(("not in images", f"{reason} ({count} bindings)") for reason, count in reasons),
        *(("no image", f"{reason} ({count} activations)") for reason, count in others),
    ]


def _streaming(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the weights move, where they do."""
    plan = report.get("streaming")
    if plan is None:
        return []
    text = (
        f"{size(plan['peak_weight_bytes'])} of {size(plan['budget_bytes'])} used: "
        f"{size(plan['pinned_bytes'])} pinned, {size(plan['streamed_bytes'])} read in each run"
    )
    return [("budget", text)]


def _layout_bytes(report: Mapping[str, Any]) -> str:
    layout, total = report.get("layout_bytes"), report.get("total_bytes")
    if layout is None or total is None:
        return "-"
    share = f" ({100 * layout / total:.1f} %)" if total else ""
    return f"{size(layout)} of {size(total)}{share}"


def _count(report: Mapping[str, Any], key: str) -> str:
    return str(report.get(key, "-"))


def _size(report: Mapping[str, Any], key: str) -> str:
    return size(report[key]) if key in report else "-"
