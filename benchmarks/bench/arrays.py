"""Lists of arrays in files: one ``.npz`` holds two cases of inputs or of outputs."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_cases(path: Path, cases: Sequence[Sequence[NDArray[Any]]]) -> None:
    """Write lists of arrays, in order."""
    named = {f"{case}_{i}": a for case, arrays in enumerate(cases) for i, a in enumerate(arrays)}
    np.savez_compressed(path, cases=np.array(len(cases)), **named)


def load_cases(path: Path) -> list[list[NDArray[Any]]]:
    """What ``save_cases`` wrote. Raises ValueError where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found: list[dict[int, NDArray[Any]]] = [{} for _ in range(int(file["cases"]))]
            for name in file.files:
                case, is_array, position = name.partition("_")
                if is_array:
                    found[int(case)][int(position)] = file[name]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from error
    return [[arrays[i] for i in sorted(arrays)] for arrays in found]
