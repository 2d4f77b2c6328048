"""Every op the importer takes gives what eager PyTorch gives; what it does not take is refused.

The cases stand in ``op_cases.py``. A family of them is one model, because starting iree-compile
costs more than what it compiles here; a failure names every wrong case of the family.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from e2e.op_cases import FAMILIES, Family, FamilyModel, rand
from nets import Function
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from smartmem.errors import UnsupportedError, UserError

# --------------------------------------------------------------------------------- right results


def difference(expected: Tensor, actual: Tensor, tolerance: float) -> str | None:
    """What is wrong with ``actual``: relative L2 for floats, exact for all else; None if right."""
    wanted = (tuple(expected.shape), expected.dtype)
    if (tuple(actual.shape), actual.dtype) != wanted:
        return f"is {tuple(actual.shape)} {actual.dtype}, expected {wanted[0]} {wanted[1]}"
    if not expected.is_floating_point():
        wrong = int((expected != actual).sum())
        return f"{wrong} of {expected.numel()} elements differ" if wrong else None
    expected, actual = expected.double(), actual.double()
    finite = expected.isfinite()
    if not torch.equal(expected[~finite].nan_to_num(), actual[~finite].nan_to_num()) or bool(
        (finite != actual.isfinite()).any() or (expected.isnan() != actual.isnan()).any()
    ):
        return "NaN or infinities differ"
    distance = float((expected[finite] - actual[finite]).norm())
    size = float(expected[finite].norm())
    if distance <= tolerance * (size or 1.0):
        return None
    return f"relative L2 {distance / size if size else distance:.1e} > {tolerance:.0e}"


def expected_outputs(family: Family) -> dict[str, Any]:
    """Eager's outputs; for 16-bit floats those of the model in f32, rounded to eager's types."""
    model = FamilyModel(family).eval()
    with torch.no_grad():
        eager = model(*family.inputs.values())
        if family.half is None:
            return eager
        exact = model.float()(
            *(v.float() if v.dtype == family.half else v for v in family.inputs.values())
        )
    return {label: _as_types(exact[label], eager[label]) for label in eager}


def _as_types(values: Any, like: Any) -> Any:
    if isinstance(values, Tensor):
        return values.to(like.dtype)
    return type(like)(_as_types(v, k) for v, k in zip(values, like, strict=True))


def differences(family: Family, expected: Any, actual: Any) -> Iterator[str]:
    """One line per wrong output."""
    assert list(actual) == list(expected)
    for label in expected:
        wanted, tree = tree_flatten(expected[label])
        given, given_tree = tree_flatten(actual[label])
        if tree != given_tree:
            yield f"{label}: is {given_tree}, expected {tree}"
            continue
        for position, (one, other) in enumerate(zip(wanted, given, strict=True)):
            wrong = difference(one, other, family.tolerance)
            if wrong:
                yield f"{label} [{position}]: {wrong}"


def check_family(family: Family, target: str, compile_and_load: Any) -> None:
    inputs = tuple(family.inputs.values())
    session = compile_and_load(FamilyModel(family).eval(), inputs, target=target)
    wrong = list(differences(family, expected_outputs(family), session(*inputs)))
    assert not wrong, "\n".join(wrong)


ON_VULKAN = [name for name, family in FAMILIES.items() if family.vulkan]


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ON_VULKAN])
def test_family_on_the_cpu_alone(name: str, compile_and_load: Any) -> None:
    check_family(FAMILIES[name], "cpu", compile_and_load)


@pytest.mark.vulkan
@pytest.mark.parametrize("name", ON_VULKAN)
def test_family_on_vulkan(name: str, compile_and_load: Any) -> None:
    check_family(FAMILIES[name].on("llvmpipe").sampled(), "llvmpipe", compile_and_load)


# In every run PyTorch's own samples judge each op on the CPU (test_operators.py).
@pytest.mark.nightly
@pytest.mark.parametrize("target", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)])
@pytest.mark.parametrize("name", ON_VULKAN)
def test_every_case_of_a_family(name: str, target: str, compile_and_load: Any) -> None:
    check_family(FAMILIES[name].on(target), target, compile_and_load)


def test_what_is_kept_whole_has_an_import_rule() -> None:
    from smartmem.frontend import families
    from smartmem.frontend.export import KEPT_WHOLE
    from smartmem.frontend.registry import HANDLERS

    families.register_all()
    assert {name.split(".")[0] for name in HANDLERS} >= KEPT_WHOLE


# ------------------------------------------------------------------------- what goes in and out


class _Nested(nn.Module):
    """Outputs that are inputs, constants, shared, views, numbers, in tuples, lists and dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(rand(5, 7))
        self.register_buffer("flags", torch.arange(40) % 3 == 0)
        self.register_buffer("scalar", torch.tensor(2.5))
        self.register_buffer("count", torch.tensor([7, -1]))

    def forward(self, x: Tensor, pair: tuple[Tensor, dict[str, Tensor]], *, shift: Tensor) -> Any:
        y = x * 2 + shift
        return {
            "input": x,
            "same twice": (y, y),
            "nested": [pair[0], {"mask": ~pair[1]["mask"], "none": None}],
            "view of an input": x.mT,
            "part of an input": x[0, 1:],
            "constants": (self.table, self.flags, self.scalar, self.count),
            "computed constant": self.table.sum() + 1,
            "number": (3, "label", 0.5, True),
            "rank 0": shift.exp(),
        }


NESTED_ARGS = (rand(2, 3, 5), (torch.tensor([[1], [-2]]), {"mask": torch.tensor([True, False])}))
NESTED_KWARGS = {"shift": torch.tensor(0.75)}


@pytest.mark.parametrize("target", ["cpu", pytest.param("llvmpipe", marks=pytest.mark.vulkan)])
def test_outputs_nest_as_in_eager(target: str, compile_and_load: Any) -> None:
    model = _Nested().eval()
    session = compile_and_load(model, NESTED_ARGS, NESTED_KWARGS, target=target)
    for _ in range(
        2
    ):  # The second run must not see what the first one's caller did to its outputs.
        with torch.no_grad():
            wanted, tree = tree_flatten(model(*NESTED_ARGS, **NESTED_KWARGS))
        given, given_tree = tree_flatten(session(*NESTED_ARGS, **NESTED_KWARGS))
        assert given_tree == tree
        for one, other in zip(wanted, given, strict=True):
            if not isinstance(one, Tensor):
                assert other == one
                continue
            assert difference(one.detach(), other, 1e-6) is None
            if other.is_floating_point():
                other.fill_(float("nan"))


# ----------------------------------------------------------------------------------- refusals


class _Unsupported(nn.Module):
    """Four things of different kinds that cannot be had, among some that can."""

    def forward(self, x: Tensor) -> Any:
        spectrum = torch.fft.fft(x * 2).real
        bessel = torch.special.bessel_j0(x)
        wave = torch.special.airy_ai(x)
        exact = x.double() + 1
        return spectrum.relu(), bessel, wave, exact.float(), x.relu()


def refusal(error: type[Exception], model: nn.Module, *args: Any) -> Any:
    """What ``compile_model`` raises."""
    from smartmem.compiler import compile_model

    with pytest.raises(error) as raised:
        compile_model(model, args, out="never-written")
    return raised.value


def test_all_unsupported_ops_come_in_one_table() -> None:
    error = refusal(UnsupportedError, _Unsupported().eval(), rand(3, 5))
    by_op = {row.op.split(".")[1]: row for row in error.rows}
    assert {"_fft_r2c", "special_bessel_j0", "special_airy_ai", "_to_copy"} <= set(by_op)
    first = _Unsupported.forward.__code__.co_firstlineno
    lines = {"_fft_r2c": 1, "special_bessel_j0": 2, "special_airy_ai": 3, "_to_copy": 4}
    for op, line in lines.items():
        assert by_op[op].location.split(" ")[0].endswith(f"test_ops.py:{first + line}")
        assert by_op[op].reason and by_op[op].remedy
        assert by_op[op].op in str(error)
    assert error.exit_code == 2
    assert not {"mul", "relu", "add"} & set(by_op)


# A call that cannot be compiled: the op named in the table, and part of the reason.
REFUSED = {
    "a shape that depends on values": (
        lambda x: x[x > 0].sum() + torch.special.airy_ai(x).sum(),
        {"index": "run time", "special_airy_ai": "no import rule"},
    ),
    "an index that is a tensor's value": (
        lambda x: x[x.sum().long()] + 1,
        {"_local_scalar_dense": "no import rule"},
    ),
    "writes of many values through a mask": (
        lambda x: torch.index_put(x, (x > 0,), x[0]),
        {"index_put": "how many are selected"},
    ),
    "an integer beyond 32 bits": (lambda x: x.long() + 2**40, {"add": "does not fit 32 bits"}),
    "a constant beyond 32 bits": (
        lambda x: x.long().masked_fill(x > 0, torch.iinfo(torch.int64).max),
        {"where": "does not fit 32 bits"},
    ),
    "an element type": (lambda x: x.to(torch.uint16), {"_to_copy": "uint16"}),
    "memory behind a view": (
        lambda x: torch.as_strided(x[1:], (2,), (1,), 0),
        {"as_strided": "beyond a view"},
    ),
    "integer to the power of a tensor": (
        lambda x: x.long() ** x.long().abs(),
        {"pow": "integers"},
    ),
}


@pytest.mark.parametrize(("function", "reasons"), REFUSED.values(), ids=REFUSED)
def test_call_is_refused(function: Any, reasons: dict[str, str]) -> None:
    error = refusal(UnsupportedError, Function(function).eval(), rand(5, 5))
    found = {op: row.reason for row in error.rows for op in reasons if op in row.op}
    assert set(found) == set(reasons)
    assert all(part in found[op] for op, part in reasons.items())


class _Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return x + self.calls


def test_buffers_that_change_are_refused() -> None:
    assert "calls" in str(refusal(UnsupportedError, _Counter().eval(), rand(3)))


def test_inputs_that_change_are_refused() -> None:
    model = Function(lambda x: x.add_(1)).eval()
    assert "writes to the input" in str(refusal(UnsupportedError, model, rand(3)))


def test_training_mode_is_refused() -> None:
    assert "eval()" in str(refusal(UserError, nn.Dropout(), rand(3)))


def test_float64_inputs_are_refused() -> None:
    error = refusal(UnsupportedError, Function(torch.relu).eval(), rand(3).double())
    assert "float64" in str(error) and "float32" in str(error)


def test_dynamic_shapes_are_refused() -> None:
    dynamic = torch.export.export(
        Function(torch.relu).eval(),
        (rand(4, 3),),
        dynamic_shapes={"inputs": ({0: torch.export.Dim("batch")},)},
    )
    assert "dimension 0 of" in str(refusal(UnsupportedError, dynamic, rand(4, 3)))


def test_int64_inputs_are_checked_at_run_time(compile_and_load: Any) -> None:
    session = compile_and_load(Function(lambda i: i + 1).eval(), (torch.tensor([1, 2]),))
    low, high = torch.iinfo(torch.int32).min, torch.iinfo(torch.int32).max
    assert session(torch.tensor([low, high - 1])).tolist() == [low + 1, high]
    for value in (low - 1, high + 1):
        with pytest.raises(UserError, match="int32"):
            session(torch.tensor([0, value]))
