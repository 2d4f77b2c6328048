"""Weights that need not be sent: drawn by numpy from a seed, the same on every machine.

A recipe says how to write a weights archive anew: each of its entries is made of drawn parameters,
joined and laid out as the compiler did, or stands in a file of those that are sent. Contenders that
start from the PyTorch model put the same parameters into that. Random numbers are raw bits of
PCG64, which numpy guarantees never to change, made into floats by exact operations only.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.dialects.archive import ArchiveEntry
from smartmem.dialects.layouts import Layout
from smartmem.errors import UserError
from smartmem.runtime.archive import write_archive
from smartmem.runtime.manifest import Manifest, sha256_of

RECIPE = "recipe.json"
KEPT = "kept.bin"
# What the PyTorch model holds beside the drawn parameters.
STATE = "state.npz"
_BITS = 24


@dataclass(frozen=True)
class Drawn:
    """A float32 tensor: uniform numbers between ``low`` and ``high``, from ``seed``."""

    seed: int
    shape: tuple[int, ...]
    low: float
    high: float

    def draw(self) -> NDArray[np.float32]:
        """The tensor, row-major."""
        count = int(np.prod(self.shape))
        bits = np.random.PCG64(self.seed).random_raw(count) >> np.uint64(64 - _BITS)
        unit = bits.astype(np.float32) * np.float32(2.0**-_BITS)
        width = np.float32(self.high) - np.float32(self.low)
        return (unit * width + np.float32(self.low)).reshape(self.shape)


@dataclass(frozen=True)
class Recipe:
    """The parameters to draw, by name; the entries of the archive that are made of them; and the
    bytes of the entries that are sent, in order.
    """

    drawn: dict[str, Drawn]
    made: tuple[ArchiveEntry, ...]
    kept: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(data: dict[str, Any]) -> "Recipe":
        drawn = {n: Drawn(**{**d, "shape": tuple(d["shape"])}) for n, d in data["drawn"].items()}
        return Recipe(drawn, tuple(_entry(entry) for entry in data["made"]), data["kept"])

    @staticmethod
    def read(folder: Path) -> "Recipe":
        """The recipe that lies in ``folder``."""
        return Recipe.of_json(json.loads((folder / RECIPE).read_text(encoding="utf-8")))

    def arrays(self, kept: bytes) -> dict[str, NDArray[Any]]:
        """All entries of the archive by name, given the bytes of those that are sent."""
        parameters = {name: drawn.draw() for name, drawn in self.drawn.items()}
        arrays: dict[str, NDArray[Any]] = {
            entry.name: np.ascontiguousarray(entry.packed(parameters)) for entry in self.made
        }
        start = 0
        for name, size_bytes in self.kept.items():
            arrays[name] = np.frombuffer(kept, np.uint8, size_bytes, start)
            start += size_bytes
        return arrays


def _entry(data: dict[str, Any]) -> ArchiveEntry:
    pairs = {key: tuple((a, b) for a, b in data["layout"][key]) for key in ("packed", "padding")}
    layout = Layout(tuple(data["layout"]["order"]), **pairs)
    return ArchiveEntry(data["name"], tuple(data["keys"]), data["dim"], layout, data["rounded"])


def write_kept(folder: Path, kept: Mapping[str, NDArray[np.uint8]]) -> dict[str, int]:
    """Store the entries that are not drawn; their sizes, in order."""
    data = b"".join(array.tobytes() for array in kept.values())
    (folder / KEPT).write_bytes(zlib.compress(data))
    return {name: array.size for name, array in kept.items()}


def write_weights(folder: Path, bundle: Path, manifest: Manifest) -> None:
    """Write the archive of the compiled model ``bundle`` by the recipe in ``folder``.

    Raises UserError where it is not the one that was compiled.
    """
    target = bundle / manifest.weights.file
    if target.is_file():
        return
    recipe = Recipe.read(folder)
    part = target.with_name(f"{target.name}.part")
    write_archive(part, recipe.arrays(zlib.decompress((folder / KEPT).read_bytes())))
    if sha256_of(part) != manifest.weights.sha256:
        part.unlink()
        raise UserError(
            f"{bundle}: the weights drawn here differ from those it was compiled with",
            hint="The bundle is damaged: copy it again.",
        )
    part.replace(target)
