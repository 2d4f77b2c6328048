"""A folder that a machine without compiler, torch and network measures with one command.

    run.py, requirements.txt, README.md, bundle.json
    lib/                       smartmem's runtime, this harness and the suite, copied
    models/NAME/               inputs and eager's answers; model.smartmem without its weights
                               recipe.json and kept.bin: the weights' archive, to be written there
                               state.npz: the PyTorch model's weights that are not drawn

Large weights are not sent but drawn from seeds (``recipe.py``), here for eager and there for the
compiled model. So the models are those of the suite with other random numbers for weights: each
tensor of the mean and spread it has there, and batch norms with the statistics that follow.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartmem.benchmarks.bench import results
from smartmem.benchmarks.bench.contenders import ours
from smartmem.benchmarks.bench.recipe import RECIPE, STATE, Drawn, Recipe, write_kept
from smartmem.dialects.archive import ArchiveEntry
from smartmem.errors import UserError
from smartmem.precision import check_holds_halves

if TYPE_CHECKING:
    import torch

    from smartmem.passes.target import Storage
    from smartmem.runtime.manifest import Precision

INDEX = "bundle.json"
# Tensors of fewer elements are sent: norms' statistics and biases among them.
LEAST_DRAWN = 1 << 12

# The whole of it, for other contenders start where smartmem does; to measure smartmem itself takes
# neither torch nor the compiler.
_PACKAGES = ("benchmarks", "dialects", "frontend", "passes", "runtime", "smartmem")
_SUFFIXES = ("py", "toml", "so")
_REQUIREMENTS = ("iree-base-runtime", "ml_dtypes", "numpy")

_RUN = '''"""Measures the models of this folder: python3 run.py --help."""

import os
import sys
from pathlib import Path

LIBRARY = str(Path(__file__).resolve().parent / "lib")
sys.path.insert(0, LIBRARY)
given = os.environ.get("PYTHONPATH")
os.environ["PYTHONPATH"] = f"{LIBRARY}{os.pathsep}{given}" if given else LIBRARY

from smartmem.benchmarks.bench.run_bundle import main  # noqa: E402

sys.exit(main(Path(__file__).resolve().parent))
'''

_README = """# A bundle of `smartmem bench`

Needs Python 3.11 or newer and the packages of requirements.txt (`pip install -r requirements.txt`),
a Vulkan driver for GPUs, and no network. Then:

    python3 run.py --out results.json

runs every model on the GPU, or on the device that `--device` names, compares it with what PyTorch
computed when the bundle was written, and writes the document that `smartmem bench --out` writes.

`--against eager,inductor,iree,ncnn` measures others in the same run, where the machine has what
they need: PyTorch and transformers or diffusers for the models, and their own packages. They get
the same weights.

`--executor smartmem` or `iree` chooses what runs the models. `--overhead FILE` measures what a call
on smartmem's own executor costs beside the GPU's time; for that, numpy is the only package needed.
"""


def write_bundle(
    folder: Path,
    models: Sequence[str],
    size: str,
    targets: Sequence[str],
    *,
    storage: "Storage" = "buffer",
    precision: "Precision" = "fp32",
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the bundle; what it holds, as in its index, with the bytes of it all.

    Raises UserError where the folder is there already, and the compiler's errors; nothing
    half-written is left.
    """
    from smartmem.passes.target import resolve

    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not empty", hint="Choose another folder.")
    for target in targets:
        resolved = resolve(target, storage)
        if precision == "fp16":
            check_holds_halves(resolved)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        part = Path(temporary) / folder.name
        rows: list[dict[str, Any]] = []
        for model in models:
            progress(f"{model}/{size}: compiling for {', '.join(targets)}")
            place = part / "models" / model
            rows.append(_write_model(place, model, size, targets, storage, precision))
        _write_library(part)
        index = {
            "models": rows,
            "targets": list(targets),
            "storage": storage,
            "precision": precision,
            "versions": results.own_versions(),
            "commit": results.commit(),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        results.write(part / INDEX, index)
        part.replace(folder)
    return {**index, "bytes": _bytes_of(folder)}


def _bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _write_model(
    folder: Path,
    name: str,
    size: str,
    targets: Sequence[str],
    storage: "Storage",
    precision: "Precision",
) -> dict[str, Any]:
    """Compile one model with drawn weights; its row of the index."""
    from smartmem.benchmarks.bench.contenders.eager import write_reference
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model

    model, inputs = suite.build(f"{name}/{size}")
    drawn = draw_weights(model, inputs)
    folder.mkdir(parents=True)
    compiled = compile_model(
        model,
        inputs,
        targets=tuple(targets),
        out=folder / ours.folder_of(precision),
        storage=storage,
        precision=precision,
    )
    write_reference(model, inputs, folder)
    weights = compiled.path / compiled.manifest.weights.file
    write_recipe(weights, compiled.entries, drawn, folder)
    weights.unlink()
    write_state(model, drawn, folder)
    # Without its seconds: they may be those of the compiler's cache.
    candidates = {
        target: ours.candidate(report, precision).to_json()
        for target, report in compiled.reports.items()
    }
    return {"model": name, "size": size, "candidates": candidates, "bytes": _bytes_of(folder)}


def draw_weights(model: "torch.nn.Module", inputs: Sequence["torch.Tensor"]) -> dict[str, Drawn]:
    """Put drawn numbers in the place of the large weights of ``model``; what was drawn, by name.

    A tied parameter has several names, and the same numbers under each.
    """
    import torch

    from smartmem.benchmarks.models.registry import take_statistics

    drawn: dict[str, Drawn] = {}
    by_parameter: dict[torch.nn.Parameter, Drawn] = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters(remove_duplicate=False):
            if parameter.dtype != torch.float32 or parameter.numel() < LEAST_DRAWN:
                continue
            if parameter not in by_parameter:
                one = _like(parameter.numpy(), seed=len(by_parameter) + 1)
                parameter.copy_(torch.from_numpy(one.draw()))
                by_parameter[parameter] = one
            drawn[name] = by_parameter[parameter]
    # The statistics are of images: nothing else has batch norms to speak of.
    if all(tensor.is_floating_point() for tensor in inputs):
        take_statistics(model, tuple(inputs))
    return drawn


def write_state(model: "torch.nn.Module", drawn: Mapping[str, Drawn], folder: Path) -> None:
    """Keep in ``folder`` what ``model`` holds beside the ``drawn`` parameters."""
    rest = {name: t.numpy() for name, t in model.state_dict().items() if name not in drawn}
    np.savez_compressed(folder / STATE, **rest)


def _like(array: NDArray[Any], seed: int) -> Drawn:
    """Uniform numbers of the array's mean and deviation, within its range."""
    mean, reach = float(array.mean()), math.sqrt(3.0) * float(array.std())
    low, high = max(mean - reach, float(array.min())), min(mean + reach, float(array.max()))
    return Drawn(seed, tuple(array.shape), low, high)


def write_recipe(
    weights: Path, entries: Sequence[ArchiveEntry], drawn: Mapping[str, Drawn], folder: Path
) -> Recipe:
    """Say in ``folder`` how to write the archive ``weights`` of ``entries`` anew from ``drawn``
    parameters.
    """
    from iree.runtime import ParameterIndex

    index = ParameterIndex()
    index.load(str(weights))
    parameters = {name: one.draw() for name, one in drawn.items()}
    of_drawn = {entry.name: entry for entry in entries if parameters.keys() >= set(entry.keys)}
    made: list[ArchiveEntry] = []
    kept: dict[str, NDArray[np.uint8]] = {}
    for name, held in index.items():
        data = np.asarray(held.file_view, np.uint8)
        entry = of_drawn.get(name)
        # A parameter that was computed with before it got there has its name, not its bytes.
        if entry is not None and entry.packed(parameters).tobytes() == data.tobytes():
            made.append(entry)
        else:
            kept[name] = data.copy()
    recipe = Recipe(dict(drawn), tuple(made), write_kept(folder, kept))
    results.write(folder / RECIPE, recipe.to_json())
    return recipe


def _write_library(folder: Path) -> None:
    root = Path(results.__file__).resolve().parents[2]
    library = folder / "lib" / "smartmem"
    for package, suffix in product(_PACKAGES, _SUFFIXES):
        for file in sorted((root / package).rglob(f"*.{suffix}")):
            place = library / file.relative_to(root).as_posix().removeprefix("smartmem/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    lines = [f"{name}=={version(name)}" for name in _REQUIREMENTS]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "run.py").write_text(_RUN, encoding="utf-8")
    (folder / "README.md").write_text(_README, encoding="utf-8")
