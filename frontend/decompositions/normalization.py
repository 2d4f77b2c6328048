"""Batch norm in training mode: PyTorch's own formulas, which return the new running statistics."""

from torch._decomp import decomposition_table

from smartmem.frontend.decompositions.registry import TRAINING, decomposes, overload

for _name in (
    "_native_batch_norm_legit_functional.default",
    "_batch_norm_with_update_functional.default",
):
    decomposes(_name, table=TRAINING)(decomposition_table[overload(_name)])
