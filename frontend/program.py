"""What the frontend hands to the passes: a module in the layout dialect, its weights, and its
calling convention.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.runtime.manifest import TensorSpec


@dataclass(frozen=True)
class Program:
    """``module`` defines ``@main``; ``weights`` holds row-major arrays by archive key.

    ``input_tree`` and ``output_tree`` say how the flat tensors nest in the user's call (see
    ``runtime/manifest.py``). ``graph_ops`` and ``layout_ops`` count the graph's nodes that depend
    on an input.
    """

    module: Any
    weights: dict[str, NDArray[np.generic]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_tree: Any
    output_tree: Any
    graph_ops: int
    layout_ops: int
