"""Plots as plain SVG: panels of bars and lines, in fractions of the panel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Panel:
    """A rectangle in pixels; everything in it is placed from 0 to 1, upwards."""

    left: float
    top: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def bar(self, start: float, width: float, low: float, high: float, colour: str) -> str:
        """A filled rectangle."""
        x, y = self._x(start), self._y(high)
        across, up = width * self.width, (high - low) * self.height
        return (
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{across:.2f}" height="{up:.2f}" '
            f'fill="{colour}"/>'
        )

    def level(self, high: float) -> str:
        """A line across."""
        return self.line(((0.0, high), (1.0, high)), "black")

    def line(self, points: Iterable[tuple[float, float]], colour: str) -> str:
        """A line through points."""
        path = " ".join(f"{self._x(x):.2f},{self._y(y):.2f}" for x, y in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}"/>'

    def dot(self, x: float, y: float, colour: str) -> str:
        """A point."""
        return f'<circle cx="{self._x(x):.2f}" cy="{self._y(y):.2f}" r="3" fill="{colour}"/>'

    def _x(self, x: float) -> float:
        return self.left + x * self.width

    def _y(self, y: float) -> float:
        return self.top + (1 - y) * self.height


def text(x: float, y: float, content: str) -> str:
    """A line of text, in pixels from the top left."""
    return f'<text x="{x}" y="{y}">{escape(content)}</text>'


def document(width: float, height: float, parts: Iterable[str]) -> str:
    """The whole picture, on white."""
    attributes = f'width="{width}" height="{height}" font-family="sans-serif" font-size="11"'
    body = "\n".join(['<rect width="100%" height="100%" fill="white"/>', *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>\n{body}\n</svg>\n'
