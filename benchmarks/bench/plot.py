"""Bars as SVG: how many times what smartmem takes others take, on a logarithmic axis."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_COLOURS = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"),
    *("#000000", "#88ccaa", "#994400"),
)
_LABELS, _BARS, _VALUES = 150, 420, 70
_BAR, _GAP, _LEGEND = 11, 9, 22
# At least one power of ten to either side of "equal".
_LEAST_DECADES = 1.0

Ratios = Mapping[str, Mapping[str, float]]


def speedups(ratios: Ratios, contenders: Sequence[str]) -> str:
    """The picture. ``ratios[model][contender]`` is what that contender takes over smartmem's;
    there may be ten contenders.
    """
    values = [value for row in ratios.values() for value in row.values()]
    reach = max([_LEAST_DECADES, *(abs(math.log10(value)) for value in values)])
    colours = dict(zip(contenders, _COLOURS, strict=False))
    whole = _LABELS + _BARS + _VALUES
    middle = _LABELS + _BARS / 2
    parts: list[str] = []
    for position, name in enumerate(contenders):
        x = 4 + position * whole / max(len(contenders), 1)
        parts.append(f'<rect x="{x:.0f}" y="4" width="10" height="10" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 14:.0f}" y="13">{escape(name)}</text>')
    y = _LEGEND + _GAP
    for model, row in ratios.items():
        parts.append(f'<text x="4" y="{y + 10}">{escape(model)}</text>')
        for name, value in row.items():
            end = middle + math.log10(value) / reach * _BARS / 2
            left, width = min(middle, end), abs(end - middle)
            parts.append(
                f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                f'fill="{colours[name]}"/>'
            )
            parts.append(f'<text x="{_LABELS + _BARS + 6}" y="{y + 9}">{value:.2g} x</text>')
            y += _BAR
        y += _GAP
    line = f'<line x1="{middle}" y1="{_LEGEND}" x2="{middle}" y2="{y}" stroke="black"/>'
    size = f'width="{whole}" height="{y + _GAP}"'
    style = 'font-family="sans-serif" font-size="11"'
    back = '<rect width="100%" height="100%" fill="white"/>'
    body = "\n".join([back, *parts, line])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'
