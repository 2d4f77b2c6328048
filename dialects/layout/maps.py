"""MLIR affine maps from and to the algebra's values: the border between attributes and
``dialects/algebra.py``.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects import algebra
from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap


def _from_affine(expr: Any) -> algebra.Expr:
    if isinstance(expr, ir.AffineDimExpr):
        return algebra.Dim(expr.position)
    if isinstance(expr, ir.AffineConstantExpr):
        return algebra.Const(expr.value)
    if not isinstance(expr, ir.AffineBinaryExpr):
        raise ValueError(f"{expr} is not quasi-affine over dims")
    lhs, rhs = _from_affine(expr.lhs), _from_affine(expr.rhs)
    if isinstance(expr, ir.AffineAddExpr):
        return lhs + rhs
    if isinstance(lhs, algebra.Const) and isinstance(expr, ir.AffineMulExpr):
        lhs, rhs = rhs, lhs
    if not isinstance(rhs, algebra.Const):
        raise ValueError(f"{expr} is not quasi-affine: the right side must be a constant")
    if isinstance(expr, ir.AffineMulExpr):
        return lhs * rhs.value
    if isinstance(expr, ir.AffineFloorDivExpr):
        return lhs // rhs.value
    if isinstance(expr, ir.AffineModExpr):
        return lhs % rhs.value
    raise ValueError(f"{expr} is not quasi-affine")


def _to_affine(expr: algebra.Expr) -> Any:
    match expr:
        case algebra.Dim(index):
            return ir.AffineExpr.get_dim(index)
        case algebra.Const(value):
            return ir.AffineExpr.get_constant(value)
        case algebra.Add(lhs, rhs):
            return ir.AffineExpr.get_add(_to_affine(lhs), _to_affine(rhs))
        case algebra.Mul(inner, factor):
            return ir.AffineExpr.get_mul(_to_affine(inner), factor)
        case algebra.FloorDiv(inner, divisor):
            return ir.AffineExpr.get_floor_div(_to_affine(inner), divisor)
        case algebra.Mod(inner, modulus):
            return ir.AffineExpr.get_mod(_to_affine(inner), modulus)
        case _:
            raise ValueError(f"unknown index expression {expr!r}")


def to_index_map(affine_map: Any, domain: Sequence[int], codomain: Sequence[int]) -> IndexMap:
    """The index map from a result of shape ``domain`` into a source of shape ``codomain``.

    Raises ValueError where ranks do not fit, the map has symbols, or it provably leaves the source.
    """
    if affine_map.n_symbols:
        raise ValueError("an index map has no symbols")
    if affine_map.n_dims != len(domain) or len(affine_map.results) != len(codomain):
        raise ValueError(
            f"index map takes {affine_map.n_dims} dims to {len(affine_map.results)}, "
            f"the tensors have ranks {len(domain)} and {len(codomain)}"
        )
    return IndexMap(
        tuple(domain), tuple(codomain), tuple(_from_affine(e) for e in affine_map.results)
    )


def to_affine_map(index_map: IndexMap) -> Any:
    """``index_map`` as an MLIR affine map."""
    return ir.AffineMap.get(len(index_map.domain), 0, [_to_affine(e) for e in index_map.results])


def contraction_dims(maps: Any) -> tuple[list[tuple[int, ...]], int]:
    """Loop dim of each axis, per map of an ``indexing_maps`` attribute, and the number of loop
    dims.
    """
    affine_maps = [ir.AffineMapAttr(m).value for m in ir.ArrayAttr(maps)]
    ranks = {m.n_dims for m in affine_maps}
    if len(ranks) != 1:
        raise ValueError("indexing maps must share their loop dims")
    if not all(isinstance(e, ir.AffineDimExpr) for m in affine_maps for e in m.results):
        raise ValueError("indexing maps of a contraction are projected permutations")
    return [tuple(e.position for e in m.results) for m in affine_maps], ranks.pop()


def dims_to_affine_map(dims: Sequence[int], rank: int) -> Any:
    """The projected permutation that reads loop dims ``dims`` out of ``rank``."""
    return ir.AffineMap.get(rank, 0, [ir.AffineExpr.get_dim(d) for d in dims])
