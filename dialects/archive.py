"""What an entry of the weight archive holds, as a plain value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.dialects.layouts import Layout


@dataclass(frozen=True)
class ArchiveEntry:
    """Entry ``name`` holds the weights ``keys``, joined along ``dim``, packed as ``layout``;
    ``rounded``: in float16, whatever they were.
    """

    name: str
    keys: tuple[str, ...]
    dim: int
    layout: Layout
    rounded: bool = False

    def held(self, weights: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The array before it is packed, from all arrays by key."""
        parts = [weights[key] for key in self.keys]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, self.dim)
        return whole.astype(np.float16) if self.rounded else whole

    def packed(self, weights: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The array as it lies in the archive, from all arrays by key."""
        return self.layout.pack(self.held(weights))

    def size_bytes(self, weights: Mapping[str, NDArray[Any]]) -> int:
        """Bytes of the entry."""
        parts = [weights[key] for key in self.keys]
        return sum(2 * part.size if self.rounded else part.nbytes for part in parts)
