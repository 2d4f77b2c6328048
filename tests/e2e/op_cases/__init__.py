"""The ops under test, in families of small expressions; ``common.py`` says what a family is."""

from e2e.op_cases import (
    attention,
    contraction,
    convolution,
    elementwise,
    half,
    indexing,
    normalization,
    pooling,
    reduction,
    resample,
    scan,
    sorting,
    special,
    structure,
    types,
)
from e2e.op_cases.common import Family, FamilyModel, rand

__all__ = ["FAMILIES", "Family", "FamilyModel", "rand"]

FAMILIES: dict[str, Family] = {
    name: family
    for part in (
        elementwise,
        structure,
        indexing,
        reduction,
        scan,
        sorting,
        normalization,
        contraction,
        convolution,
        pooling,
        resample,
        attention,
        half,
        special,
        types,
    )
    for name, family in part.FAMILIES.items()
}
