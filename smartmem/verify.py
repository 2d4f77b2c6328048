"""Compares a compiled model with eager PyTorch, output by output.

Two inputs are run: the example and another drawn from a seed. An output passes when its relative
L2 distance from eager's is within the tolerance for both, its NaN and infinities stand where
eager's do, and, so that a constant cannot pass, some output differs between the two inputs by much
more than the tolerance (``sensitivity``) or than it is off, and every output that differs by more
than the tolerance in eager does so here. A model whose inputs have no elements, or that has none,
is a constant, and need not change.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from smartmem.errors import MismatchError, UserError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from smartmem.runtime.manifest import Precision
    from smartmem.runtime.session import Session

# Relative L2 of a whole model's output; the half types allow about ten units of rounding.
TOLERANCES = {"float32": 1e-4, "float64": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
_SENSITIVITY = 100.0
# Two draws of one distribution differ by about 1.4: more than this is never demanded for its own
# sake, however wide the tolerance.
_ENOUGH = 0.1
# An output that changes by so many times its distance from eager's is no constant near it.
_CLEAR = 10.0
_NOISE_SEED = 0x5EED


@dataclass(frozen=True)
class OutputComparison:
    """One output for one input (0: the example, 1: the drawn one), against eager's.

    `change` is the relative L2 distance between the outputs for the two inputs, `eager_change`
    the same in eager. Distances of integer and bool outputs have the tolerance 0.
    """

    name: str
    case: int
    shape: tuple[int, ...]
    dtype: str
    relative_l2: float
    max_abs: float
    cosine: float
    nonfinite_agree: bool
    tolerance: float
    change: float
    eager_change: float
    ok: bool
    reason: str

    @property
    def differs(self) -> bool:
        """Whether the values themselves are wrong, not only insensitive to the input."""
        return not self.nonfinite_agree or not self.relative_l2 <= self.tolerance

    @property
    def follows(self) -> bool:
        """Whether the output changes with the input by much more than it is off."""
        return min(self.change, self.eager_change) > _CLEAR * self.relative_l2

    def as_json(self) -> dict[str, Any]:
        """Plain data, with null for distances that are not finite."""
        return {key: _finite_or_none(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class VerifyReport:
    """All comparisons on one device; `ok` is the verdict, `reason` why not."""

    device: str
    target: str
    outputs: tuple[OutputComparison, ...]
    ok: bool
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain data, with null for distances that are not finite."""
        return {**asdict(self), "outputs": [row.as_json() for row in self.outputs]}

    def raise_on_mismatch(self) -> None:
        if not self.ok:
            raise MismatchError(f"{self.target} on {self.device}: {self.reason}")


def verify(
    model_or_path: Session | str | os.PathLike[str],
    model: torch.nn.Module | torch.export.ExportedProgram,
    example_inputs: Sequence[Any],
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    device: str = "auto",
    rtol: float | None = None,
    seed: int = 0,
) -> VerifyReport:
    """Runs the compiled and the eager model on two inputs and compares all outputs.

    `rtol` overrides the tolerances by dtype (1e-4 for float32; that of float16 where the model was
    compiled with the precision fp16). The hashes of the bundle's files
    are checked too.
    Raises UserError where the model is not the one that was compiled; a numerical difference is
    not raised but reported.
    """
    from smartmem.runtime.session import Session, load

    if rtol is not None and not 0 < rtol < float("inf"):
        raise UserError(f"a tolerance of {rtol} (rtol): it is a number above 0")
    session = model_or_path if isinstance(model_or_path, Session) else load(model_or_path, device)
    session.bundle.check_weights(thorough=True)
    session.bundle.check_target(session.target, thorough=True)
    cases = verify_cases(example_inputs, example_kwargs, seed)
    eager = [run_eager(model, case) for case in cases]
    compiled = [_run_compiled(session, case) for case in cases]
    takes_elements = any(tensor.size for tensor in tensors(cases[0]))
    return _compare(session, eager, compiled, rtol, takes_elements=takes_elements)


def verify_cases(
    example_inputs: Sequence[Any], example_kwargs: Mapping[str, Any] | None, seed: int
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The inputs that are compared: the example, and one drawn from ``seed``."""
    example = (tuple(example_inputs), dict(example_kwargs or {}))
    return [example, _other_inputs(example, seed)]


def _compare(
    session: Session,
    eager: list[list[NDArray[Any]]],
    compiled: list[list[NDArray[Any]]],
    rtol: float | None,
    *,
    takes_elements: bool,
) -> VerifyReport:
    if len(eager[0]) != len(compiled[0]):
        raise UserError(
            f"{session.path}: has {len(compiled[0])} outputs, the eager model {len(eager[0])}: "
            "it was compiled from another model"
        )
    specs = session.manifest.outputs
    named = len(specs) == len(eager[0])
    precision = session.manifest.targets[session.target].precision
    rows = [
        compare_output(
            specs[position].name if named else f"output[{position}]",
            case,
            (eager[0][position], eager[1][position]),
            (compiled[0][position], compiled[1][position]),
            rtol,
            precision,
        )
        for position in range(len(eager[0]))
        for case in (0, 1)
    ]
    failed = [row for row in rows if not row.ok]
    varies = any(row.change >= sensitivity(row.tolerance) or row.follows for row in rows)
    constant = bool(rows) and takes_elements and not varies
    reason = ""
    if failed:
        worst = max(failed, key=lambda row: row.relative_l2)
        reason = f"{len(failed)} of {len(rows)} comparisons fail; {worst.name}: {worst.reason}"
    elif constant:
        reason = "no output changes enough with the input to tell it from a constant"
    return VerifyReport(
        device=session.device.name,
        target=session.target,
        outputs=tuple(rows),
        ok=not reason,
        reason=reason,
    )


def compare_output(
    name: str,
    case: int,
    eager: tuple[NDArray[Any], NDArray[Any]],
    compiled: tuple[NDArray[Any], NDArray[Any]],
    rtol: float | None = None,
    precision: Precision = "fp32",
) -> OutputComparison:
    """Compares one output; both pairs hold the values for the two inputs, `case` chooses one."""
    expected, actual = eager[case], compiled[case]
    tolerance = tolerance_of(expected, rtol, precision)
    same_form = expected.shape == actual.shape and expected.dtype == actual.dtype
    agree = same_form and nonfinite_agree(expected, actual)
    distance = relative_l2(expected, actual) if same_form else float("inf")
    change, eager_change = relative_l2(*compiled), relative_l2(*eager)
    needed = sensitivity(tolerance)
    reason = ""
    if not same_form:
        reason = f"{actual.dtype}{list(actual.shape)}, eager {expected.dtype}{list(expected.shape)}"
    elif not agree:
        reason = "NaN or infinities stand where eager has none, or the other way round"
    elif not distance <= tolerance:
        reason = f"relative L2 {distance:.3g}, allowed {tolerance:g}"
    elif eager_change >= needed > change:
        reason = f"changes by {change:.3g} between two inputs, eager by {eager_change:.3g}"
    return OutputComparison(
        name=name,
        case=case,
        shape=tuple(actual.shape),
        dtype=str(actual.dtype),
        relative_l2=distance,
        max_abs=_max_abs(expected, actual) if same_form else float("inf"),
        cosine=_cosine(expected, actual) if same_form else 0.0,
        nonfinite_agree=agree,
        tolerance=tolerance,
        change=change,
        eager_change=eager_change,
        ok=not reason,
        reason=reason,
    )


def relative_l2(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """|actual - expected| / |expected| over the elements finite in both; |actual| if that is 0."""
    import numpy as np

    if expected.shape != actual.shape:
        return float("inf")
    a, b = _finite_pairs(expected, actual)
    norm = float(np.linalg.norm(a))
    difference = float(np.linalg.norm(b - a))
    return difference / norm if norm else difference


def _max_abs(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    a, b = _finite_pairs(expected, actual)
    return float(abs(b - a).max()) if a.size else 0.0


def _cosine(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    import numpy as np

    a, b = _finite_pairs(expected, actual)
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if norms:
        return float(np.dot(a, b)) / norms
    return 1.0 if not a.any() and not b.any() else 0.0


def _finite_pairs(
    expected: NDArray[Any], actual: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as flat float64, without the elements that are not finite in either."""
    import numpy as np

    a = expected.astype(np.float64).ravel()
    b = actual.astype(np.float64).ravel()
    finite = np.isfinite(a) & np.isfinite(b)
    return a[finite], b[finite]


def nonfinite_agree(expected: NDArray[Any], actual: NDArray[Any]) -> bool:
    """Whether NaN and infinities stand in the same places, with the same signs."""
    import numpy as np

    a, b = expected.astype(np.float64), actual.astype(np.float64)
    off = ~(np.isfinite(a) & np.isfinite(b))
    return bool(np.array_equal(a[off], b[off], equal_nan=True))


def sensitivity(tolerance: float) -> float:
    """How much an output must change with the input: 100 times the tolerance, but no more than 10 %
    or twice the tolerance.
    """
    return min(_SENSITIVITY * tolerance, max(_ENOUGH, 2 * tolerance))


def tolerance_of(array: NDArray[Any], rtol: float | None, precision: Precision = "fp32") -> float:
    """The relative L2 allowed for this dtype: ``rtol``, else the default, which is no less than a
    half's where the model was computed with halves inside; 0 for integers.
    """
    name = str(array.dtype)
    if name not in TOLERANCES:
        return 0.0
    least = TOLERANCES["float16"] if precision == "fp16" else 0.0
    return max(TOLERANCES[name], least) if rtol is None else rtol


def run_eager(model: Any, case: tuple[tuple[Any, ...], dict[str, Any]]) -> list[NDArray[Any]]:
    """The eager model's tensors, in the order of its pytree; it runs in evaluation mode."""
    import torch

    exported = isinstance(model, torch.export.ExportedProgram)
    module = model.module() if exported else model
    args, kwargs = _cloned(case)
    with evaluating(model), torch.no_grad():
        result = module(*args, **kwargs)
    return tensors(result)


@contextmanager
def evaluating(model: torch.nn.Module | torch.export.ExportedProgram) -> Generator[None]:
    """Puts a module into evaluation mode for a while; an exported program has no other."""
    import torch

    training = model if isinstance(model, torch.nn.Module) and model.training else None
    try:
        if training:
            training.eval()
        yield
    finally:
        if training:
            training.train()


def _run_compiled(
    session: Session, case: tuple[tuple[Any, ...], dict[str, Any]]
) -> list[NDArray[Any]]:
    args, kwargs = _cloned(case)
    return tensors(session(*args, **kwargs))


def tensors(tree: Any) -> list[NDArray[Any]]:
    """The tensors of a nest; a session without inputs answers in numpy."""
    import numpy as np
    import torch
    from torch.utils import _pytree as pytree

    from smartmem.runtime.session import as_numpy

    leaves = pytree.tree_leaves(tree)
    return [as_numpy(leaf) for leaf in leaves if isinstance(leaf, (torch.Tensor, np.ndarray))]


def _cloned(case: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """A copy of the inputs, for a model may write into them."""
    import torch
    from torch.utils import _pytree as pytree

    return pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.clone(), case)


def _other_inputs(example: tuple[tuple[Any, ...], dict[str, Any]], seed: int) -> Any:
    """Inputs of the same form with other values; masks (bool, or one value only) stay.

    Integers are drawn from the example's range, so that indices stay valid. Floats get noise of
    the example's mean and deviation, and an offset for each index of the first two dimensions:
    pure noise would be averaged away by pooling.
    """
    import torch
    from torch.utils import _pytree as pytree

    # Examples are often drawn from a small seed: the noise must not be theirs again.
    generator = torch.Generator().manual_seed(_NOISE_SEED + seed)

    def draw(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype == torch.bool or not tensor.numel():
            return tensor
        if not tensor.is_floating_point():
            low, high = int(tensor.min()), int(tensor.max())
            return torch.randint(low, high + 1, tensor.shape, generator=generator).to(tensor)
        values = tensor.detach().float()
        deviation = float(values.std()) if values.numel() > 1 else 0.0
        offsets = (*tensor.shape[:2], *(1 for _ in tensor.shape[2:]))
        noise = torch.randn(tensor.shape, generator=generator)
        noise = noise + torch.randn(offsets, generator=generator)
        return (values.mean() + (deviation or 1.0) * noise.to(values)).to(tensor)

    return pytree.tree_map_only(torch.Tensor, draw, example)


def _finite_or_none(value: Any) -> Any:
    is_off = isinstance(value, float) and (value != value or abs(value) == float("inf"))
    return None if is_off else value
