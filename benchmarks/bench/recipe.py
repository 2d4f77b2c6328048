"""Weights that need not be sent: drawn by numpy from a seed, the same on every machine.

A recipe says how to write a weights archive anew: each of its entries is a drawn tensor with its
dims in some order, or stands in a file of those that are sent. It says as well which parameters of
the PyTorch model they are, for contenders that start from that. Random numbers are raw bits of
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
class Entry:
    """An archive's entry: the drawn tensor ``drawn`` with its dims in ``order``."""

    drawn: int
    order: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """The tensors to draw, how each entry of the archive follows, and the bytes of those that do
    not, in order; ``parameters`` are those of the PyTorch model by the position of their tensor.
    """

    drawn: tuple[Drawn, ...]
    entries: dict[str, Entry]
    kept: dict[str, int]
    parameters: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_json(data: dict[str, Any]) -> "Recipe":
        drawn = tuple(Drawn(**{**d, "shape": tuple(d["shape"])}) for d in data["drawn"])
        entries = {
            name: Entry(e["drawn"], tuple(e["order"])) for name, e in data["entries"].items()
        }
        return Recipe(drawn, entries, data["kept"], data["parameters"])

    @staticmethod
    def read(folder: Path) -> "Recipe":
        """The recipe that lies in ``folder``."""
        return Recipe.of_json(json.loads((folder / RECIPE).read_text(encoding="utf-8")))

    def arrays(self, kept: bytes) -> dict[str, NDArray[Any]]:
        """All entries of the archive by name, given the bytes of those that are not drawn."""
        tensors = [drawn.draw() for drawn in self.drawn]
        arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(tensors[entry.drawn].transpose(entry.order))
            for name, entry in self.entries.items()
        }
        start = 0
        for name, size_bytes in self.kept.items():
            arrays[name] = np.frombuffer(kept, np.uint8, size_bytes, start)
            start += size_bytes
        return arrays


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
