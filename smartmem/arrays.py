"""Arrays for a compiled model and from it: out of files, drawn, into files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.errors import UserError, os_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smartmem.runtime.manifest import TensorSpec


def read_inputs(files: Sequence[Path], specs: Sequence[TensorSpec]) -> list[NDArray[Any]]:
    """The arrays of the .npy files; one for each input of the model."""
    import numpy as np

    if len(files) != len(specs):
        names = ", ".join(spec.name for spec in specs)
        raise UserError(f"the model takes {len(specs)} inputs ({names}), got {len(files)} files")
    arrays: list[NDArray[Any]] = []
    for file in files:
        try:
            array = np.load(file, allow_pickle=False)
        except (OSError, EOFError) as error:
            raise UserError(f"{file}: cannot be read as .npy ({error})") from error
        except ValueError as error:
            raise UserError(
                f"{file}: cannot be read as .npy (it is another kind of file, damaged, or holds "
                "more than numbers)"
            ) from error
        if not isinstance(array, np.ndarray):
            raise UserError(f"{file}: an archive of arrays; give one .npy file for each input")
        arrays.append(array)
    return arrays


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> list[NDArray[Any]]:
    """Normal floats, and integers and bools of 0 and 1: valid as indices and as masks."""
    import numpy as np

    from smartmem.runtime.dtypes import dtype_of

    generator = np.random.default_rng(seed)
    arrays: list[NDArray[Any]] = []
    for spec in specs:
        dtype = dtype_of(spec.source_dtype)
        if dtype.kind in "iub":
            values = generator.integers(0, 2, spec.shape)
        else:
            values = generator.standard_normal(spec.shape)
        arrays.append(np.asarray(values).astype(dtype))
    return arrays


def save_outputs(
    folder: Path, specs: Sequence[TensorSpec], results: Sequence[NDArray[Any]]
) -> list[Path]:
    """Writes output I as I_NAME.npy; bfloat16, which .npy does not know, as float32."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for position, (spec, result) in enumerate(zip(specs, results, strict=True)):
        file = folder / f"{position}_{spec.name.replace('/', '_')}.npy"
        array = result.astype(np.float32) if spec.source_dtype == "bfloat16" else result
        try:
            np.save(file, array)
        except OSError as error:
            file.unlink(missing_ok=True)
            raise os_error(error, f"cannot write {file}") from error
        files.append(file)
    return files
