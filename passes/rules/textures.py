"""How a weight lies in texture memory: pure facts about shapes, readers and limits.

A phone reads textures through a cache of their own, with locality in two dims, four lanes at a
time (SmartMem, §2.3 and §3.3). Kernels load vec4 along the dim that is innermost in memory, so its
elements are the lanes; along it lie the columns of an image, and the other dims become its rows:
a sum over them walks down the image with stride 1, as neighbouring threads walk along a row.

    [K, N], summed over K   ==>   lane n % 4, x = n / 4, y = k

* Nothing is summed over: each texel is read once, and a texel buffer does as well.
* One dim, or rows that are no whole texels: a texel buffer.
* Wider or higher than the device allows: dims move from the rows to the columns, then a texel
  buffer, then a plain buffer.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

from smartmem.dialects.layouts import Layout, Storage

LANES = 4
Preferred = Literal["buffer", "texel", "image"]


@dataclass(frozen=True)
class TextureLimits:
    """What a device's textures may hold. The defaults are the least that Vulkan demands
    (specification, table "Required Limits").
    """

    # maxImageDimension2D: texels of a row, and rows.
    image_texels: int = 4096
    # maxTexelBufferElements.
    buffer_texels: int = 65536
    # What `--storage auto` is where nothing else is known: the kind of memory that is read fastest.
    preferred: Preferred = "buffer"
    # What it chooses by, tensor for tensor: bytes that all threads load from buffers in a
    # nanosecond, and texels that they fetch; 0 where that is not known.
    buffer_bytes_per_ns: float = 0.0
    texels_per_ns: float = 0.0

    def prefers_buffer(self, texel_bytes: int) -> bool:
        """Whether loads of so many bytes are faster than fetches, which take as long for any size
        of texel.
        """
        if not self.buffer_bytes_per_ns or not self.texels_per_ns:
            return False
        return texel_bytes / self.buffer_bytes_per_ns < 1 / self.texels_per_ns


@dataclass(frozen=True)
class Packing:
    """Where the elements of a weight are. Dims are logical ones, outermost first; ``reason`` says
    why it is no image.
    """

    storage: Storage
    packed_dim: int | None = None
    x_dims: tuple[int, ...] = ()
    y_dims: tuple[int, ...] = ()
    width_texels: int = 0
    height_texels: int = 0
    reason: str = ""


def packing_of(
    sizes: tuple[int, ...], layout: Layout, reductions: frozenset[int], limits: TextureLimits
) -> Packing:
    """The packing of a weight of logical ``sizes`` whose readers sum over ``reductions``."""
    dims = [dim for dim in layout.order if sizes[dim] > 1]
    if layout.packed or layout.padding:
        return Packing("buffer", reason="its layout is packed or padded already")
    if not dims or sizes[dims[-1]] % LANES:
        return _texels(prod(sizes), "its rows are no whole texels", limits)
    texels = prod(sizes) // LANES
    if len(dims) == 1:
        return _texels(texels, "it has one dim only", limits)
    if not any(sizes[dim] > 1 for dim in reductions):
        return _texels(texels, "nothing is summed over it", limits)
    for columns in range(1, len(dims)):
        y_dims, x_dims = dims[:-columns], dims[-columns:]
        height = prod(sizes[dim] for dim in y_dims)
        width = texels // height
        if max(width, height) <= limits.image_texels:
            return Packing("image2d", dims[-1], tuple(x_dims), tuple(y_dims), width, height)
    return _texels(texels, "it is wider or higher than the device's images", limits)


def _texels(count: int, reason: str, limits: TextureLimits) -> Packing:
    if count > limits.buffer_texels:
        return Packing("buffer", reason=f"{reason}, and has more texels than a texel buffer")
    return Packing("texel_buffer", reason=reason)
