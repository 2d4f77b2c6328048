"""The passes by the name ``smartmem-opt`` knows them by."""

from collections.abc import Callable

from smartmem.passes.base import Pass
from smartmem.passes.eliminate_concats import EliminateConcatsPass
from smartmem.passes.eliminate_pads import EliminatePadsPass
from smartmem.passes.eliminate_views import EliminateViewsPass
from smartmem.passes.fuse_blocks import FuseBlocksPass
from smartmem.passes.fuse_joins import FuseJoinsPass
from smartmem.passes.fuse_products import FuseProductsPass
from smartmem.passes.fuse_reads import FuseReadsPass
from smartmem.passes.lower_to_linalg import LowerToLinalgPass
from smartmem.passes.pack_textures import PackTexturesPass
from smartmem.passes.rewrite_algebra import RewriteAlgebraPass
from smartmem.passes.rewrite_scales import RewriteScalesPass
from smartmem.passes.select_layouts import SelectLayoutsPass
from smartmem.passes.select_orders import SelectOrdersPass
from smartmem.passes.select_paddings import SelectPaddingsPass
from smartmem.passes.select_precision import SelectPrecisionPass
from smartmem.passes.verify_lowered import VerifyLoweredPass

PASSES: dict[str, Callable[..., Pass]] = {
    cls.name: cls
    for cls in (
        EliminateViewsPass,
        FuseProductsPass,
        EliminateConcatsPass,
        RewriteAlgebraPass,
        EliminatePadsPass,
        RewriteScalesPass,
        SelectPaddingsPass,
        FuseJoinsPass,
        SelectPrecisionPass,
        SelectLayoutsPass,
        SelectOrdersPass,
        PackTexturesPass,
        FuseReadsPass,
        FuseBlocksPass,
        LowerToLinalgPass,
        VerifyLoweredPass,
    )
}
