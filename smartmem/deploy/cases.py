"""What a device is given, and what it must answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.errors import UserError
from smartmem.runtime.dtypes import dtype_of
from smartmem.runtime.narrowing import refuse_outside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.manifest import Precision, TensorSpec
    from smartmem.verify import OutputComparison

    Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """Inputs and expected outputs as the compiled function sees them, without empty tensors."""

    inputs: Arrays
    expected: Arrays


def from_files(bundle: Bundle, inputs: Sequence[Path], expected: Sequence[Path]) -> list[Case]:
    """One case, of .npy files: one for each input and each output of the model."""
    from smartmem.arrays import read_inputs

    manifest = bundle.manifest
    return [
        Case(
            _at_border(read_inputs(inputs, manifest.inputs), manifest.inputs),
            _at_border(read_inputs(expected, manifest.outputs), manifest.outputs),
        )
    ]


def from_source(bundle: Bundle, source: str, seed: int) -> list[Case]:
    """Two cases, of the model as it was before compiling: its example inputs, and drawn ones."""
    from smartmem.frontend.loader import load_source
    from smartmem.verify import run_eager, tensors, verify_cases

    model, inputs, keywords = load_source(source)
    manifest = bundle.manifest
    found: list[Case] = []
    for case in verify_cases(inputs, keywords, seed):
        # Before the model runs: it may write into them.
        given = [array.copy() for array in tensors(case)]
        expected = run_eager(model, case)
        if (len(given), len(expected)) != (len(manifest.inputs), len(manifest.outputs)):
            raise UserError(f"{bundle.path}: was compiled from another model than {source}")
        found.append(
            Case(_at_border(given, manifest.inputs), _at_border(expected, manifest.outputs))
        )
    return found


def from_cpu(bundle: Bundle, seed: int) -> list[Case]:
    """Two cases, random, with what the same bundle computes on this machine's CPU."""
    from smartmem.arrays import random_inputs
    from smartmem.runtime.session import Session

    session = Session(bundle, "cpu")
    manifest = bundle.manifest
    found: list[Case] = []
    for number in range(2):
        given = random_inputs(manifest.inputs, seed + number)
        expected = session.run_flat(given)
        found.append(
            Case(_at_border(given, manifest.inputs), _at_border(expected, manifest.outputs))
        )
    return found


def compare(
    specs: Sequence[TensorSpec],
    cases: Sequence[Case],
    answers: Sequence[Arrays],
    precision: Precision = "fp32",
) -> list[OutputComparison]:
    """Every output of every case, by the measure of `smartmem verify`."""
    from smartmem.verify import compare_output

    present = [spec for spec in specs if not spec.is_empty]
    rows: list[OutputComparison] = []
    for position, spec in enumerate(present):
        expected = [case.expected[position] for case in cases]
        actual = [answer[position] for answer in answers]
        # A single case has nothing to change with.
        pairs = ((expected[0], expected[-1]), (actual[0], actual[-1]))
        rows += [
            compare_output(spec.name, number, *pairs, precision=precision)
            for number in range(len(cases))
        ]
    return rows


def _at_border(arrays: Arrays, specs: Sequence[TensorSpec]) -> list[NDArray[Any]]:
    return [
        _narrowed(array, spec)
        for array, spec in zip(arrays, specs, strict=True)
        if not spec.is_empty
    ]


def _narrowed(array: NDArray[Any], spec: TensorSpec) -> NDArray[np.generic]:
    """In the type that kernels see; UserError where it has another form or does not fit."""
    import numpy as np

    dtype = dtype_of(spec.dtype)
    if array.shape != spec.shape or str(array.dtype) not in (spec.dtype, spec.source_dtype):
        raise UserError(
            f"{spec.name}: {array.dtype}{list(array.shape)}, but the model has "
            f"{spec.source_dtype}{list(spec.shape)}"
        )
    if array.dtype != dtype:
        refuse_outside(spec.name, array, dtype)
    return np.ascontiguousarray(array.astype(dtype))
