"""``torch.compile`` falls back to eager islands: right numbers and memory, and a report of it."""

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unit.frontend.opaque import NAME, opaque

import smartmem
from smartmem.errors import CompileError, UnsupportedError
from smartmem.frontend.fallback import CompileReport


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """TorchDynamo without memory, and the same weights in every test."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    with torch.no_grad():
        yield
    torch._dynamo.reset()


def compiled(model: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return torch.compile(model, backend="smartmem", options={"device": "cpu", **options})


def last() -> CompileReport:
    return smartmem.compile_reports()[-1]


def same(ours: Any, eager: Any) -> None:
    """Equal in structure, type, shape and value: close for floats, exact for all else."""
    assert type(ours) is type(eager)
    if isinstance(eager, (tuple, list)):
        assert len(ours) == len(eager)
        for a, b in zip(ours, eager, strict=True):
            same(a, b)
    elif isinstance(eager, dict):
        same(list(ours.items()), list(eager.items()))
    elif isinstance(eager, Tensor):
        torch.testing.assert_close(
            ours, eager, **_tolerance(eager), check_stride=eager.numel() > 1, equal_nan=True
        )
    else:
        assert ours == eager


def _tolerance(tensor: Tensor) -> dict[str, float]:
    loose = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(tensor.dtype, 2e-5)
    exact = not (tensor.is_floating_point() or tensor.is_complex())
    return {"rtol": 0, "atol": 0} if exact else {"rtol": loose, "atol": loose}


def check(model: Callable[..., Any], *inputs: Any, **options: Any) -> CompileReport:
    """Compiled twice as in eager twice, arguments included; the report of the compile."""
    fast = compiled(model, **options)
    for _ in range(2):
        theirs = [i.clone() if isinstance(i, Tensor) else i for i in inputs]
        ours = [i.clone() if isinstance(i, Tensor) else i for i in inputs]
        before = torch.get_rng_state()
        expected = model(*theirs)
        torch.set_rng_state(before)
        same(fast(*ours), expected)
        same(ours, theirs)
    return last()


class Convolutions(nn.Module):
    """``middle`` between two convolutions."""

    def __init__(self, middle: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.middle = middle
        self.second = nn.Conv2d(4, 2, 3)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.middle(self.first(x)))


def image() -> Tensor:
    return torch.randn(2, 3, 7, 5)


def filtered(x: Tensor) -> Tensor:
    return torch.fft.irfft(torch.fft.rfft(x) * 0.5, n=x.shape[-1])


ISLANDS: dict[str, Callable[[Tensor], Tensor]] = {
    "complex": filtered,
    "float64": lambda x: (x.double() * 1e-3).cumsum(1).float(),
    "random": lambda x: nn.functional.rrelu(x, training=True) + torch.rand_like(x),
    "custom op": lambda x: opaque(x),
    "control flow": lambda x: torch.cond(x.sum() > 0, lambda t: t.sin(), lambda t: t.cos(), (x,)),
    "unknown size": lambda x: x + (x > 0).nonzero().sum(),
}


@pytest.mark.parametrize("name", ISLANDS)
def test_an_island_between_two_convolutions(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True):
        report = check(Convolutions(ISLANDS[name]), image())
    assert report.parts == 2
    assert 0 < report.eager_ops < report.ops
    assert report.crossings >= 2
    assert report.eager_flops == 0 < report.flops
    assert all(row.reason and row.remedy for row in report.unsupported)
    assert all("e2e/test_islands.py:" in row.location for row in report.unsupported)
    messages = [r.message for r in caplog.records if r.name.startswith("smartmem")]
    assert messages == [str(report)]
    assert all(row.op in messages[0] for row in report.unsupported)


def test_strict_raises_one_table() -> None:
    def model(x: Tensor) -> Tensor:
        first = opaque(x @ x.T).tanh()
        return opaque(first)

    with pytest.raises(UnsupportedError) as caught:
        compiled(model, strict=True)(torch.randn(3, 4))
    first, second = caught.value.rows
    assert first.op == second.op == NAME
    assert first.location != second.location
    assert "3 of 5 ops (60.0%)" in str(caught.value)


def test_strict_takes_what_needs_no_island() -> None:
    def model(x: Tensor) -> tuple[Tensor, ...]:
        return x.T, (x @ x.T).relu(), x

    fast = torch.compile(model, backend="smartmem", fullgraph=True, options={"strict": True})
    x = torch.randn(3, 4)
    same(fast(x), model(x))
    assert last().is_whole


def test_small_parts_stay_in_eager() -> None:
    """One call between two islands is no part; beside a product it is."""

    def small(x: Tensor) -> Tensor:
        return opaque(opaque(x).exp())

    def large(x: Tensor) -> Tensor:
        return opaque(opaque(x).exp() @ x)

    assert check(small, torch.randn(4, 4)).parts == 0
    report = check(large, torch.randn(4, 4))
    assert (report.parts, report.eager_ops, report.ops) == (1, 2, 4)


def test_flops_in_eager_are_counted() -> None:
    """2 * 4 * 5 * 6 each, in a part and in an island of another type."""

    def model(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y) + (x.double() @ y.double()).float()

    report = check(model, torch.randn(4, 5), torch.randn(5, 6))
    assert (report.flops, report.eager_flops) == (480, 240)


class Stateful(nn.Module):
    """Counts its calls, and keeps what it saw in a cache."""

    def __init__(self, island: bool) -> None:
        super().__init__()
        self.island = island
        self.linear = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("cache", torch.zeros(3, 4))
        self.eval()

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        self.calls.add_(1)
        self.cache.index_copy_(0, position, self.linear(x))
        seen = opaque(self.cache) if self.island else self.cache
        return seen @ self.linear.weight + self.calls


@pytest.mark.parametrize("island", [False, True])
def test_state_changes_as_in_eager(island: bool) -> None:
    ours, eager = Stateful(island), Stateful(island)
    eager.load_state_dict(ours.state_dict())
    fast = compiled(ours)
    before = len(smartmem.compile_reports())
    for step in range(3):
        x, position = torch.randn(1, 4), torch.tensor([step])
        same(fast(x, position), eager(x, position))
        same(ours.state_dict()["cache"], eager.cache)
        same(ours.state_dict()["calls"], eager.calls)
    assert len(smartmem.compile_reports()) == before + 1


def written(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    x.mul_(2).add_(y)
    y[0].copy_(x[1])
    return x, x.view(-1), x @ y.T


def test_written_arguments() -> None:
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    check(written, x, y)
    whole, flat, _ = compiled(written)(x, y)
    assert whole is x
    assert flat.data_ptr() == x.data_ptr()


def test_written_arguments_that_share_memory_run_in_eager() -> None:
    def model(x: Tensor, y: Tensor) -> Tensor:
        x.add_(1)
        return x @ y

    def inputs() -> tuple[Tensor, Tensor]:
        both = torch.arange(32.0).reshape(2, 4, 4)
        return both[0], both.view(-1)[8:24].view(4, 4)

    fast = compiled(model)
    same(fast(*inputs()), model(*inputs()))
    assert "share memory" in last().unsupported[0].reason


def test_results_that_are_arguments_or_views_of_them() -> None:
    linear = nn.Linear(4, 4).eval()

    def model(x: Tensor) -> tuple[Any, ...]:
        y = linear(x)
        return x, x.T, x.view(2, 6).split(3, 1)[1], linear.weight, y, y.view(-1), None, 3, "name"

    x = torch.randn(3, 4)
    fast = compiled(model)
    results = fast(x)
    same(results, model(x))
    assert results[0] is x
    assert results[3] is linear.weight
    x.zero_()
    assert not results[1].any()
    assert not results[2].any()
    results[4].zero_()
    assert not results[5].any()


def test_tied_weights() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(7, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.table.weight

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(opaque(self.table(ids)))

    model = Tied().eval()
    fast = compiled(model)
    ids = torch.tensor([[1, 2, 6]])
    same(fast(ids), model(ids))
    model.table.weight[2] += 1
    same(fast(ids), model(ids))


INPUTS: dict[str, Callable[[], Tensor]] = {
    "0-d": lambda: torch.tensor(1.5),
    "no elements": lambda: torch.zeros(0, 4),
    "transposed": lambda: torch.randn(4, 3).T,
    "strided": lambda: torch.randn(6, 8)[::2, ::2],
    "expanded": lambda: torch.randn(1, 4).expand(3, 4),
    "channels last": lambda: image().to(memory_format=torch.channels_last),
    "negative view": lambda: torch.randn(3, 4, dtype=torch.complex64).conj().imag,
    "float64": lambda: torch.randn(3, 4, dtype=torch.float64),
    "float16": lambda: torch.randn(3, 4).half(),
    "bfloat16": lambda: torch.randn(3, 4).bfloat16(),
    "int64": lambda: torch.arange(12).reshape(3, 4),
    "int32": lambda: torch.arange(12, dtype=torch.int32).reshape(3, 4),
    "uint8": lambda: torch.arange(12, dtype=torch.uint8).reshape(3, 4),
    "bool": lambda: torch.tensor([[True, False]]),
    "complex": lambda: torch.randn(3, 4, dtype=torch.complex64),
    "nan and inf": lambda: torch.tensor([[1.0, torch.nan], [torch.inf, -torch.inf]]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_any_input(name: str) -> None:
    def model(x: Tensor) -> tuple[Tensor, ...]:
        return x + x, (x * 2).sum(), x.reshape(-1) * 3

    given = INPUTS[name]()
    same(compiled(model)(given), tuple(t.to(t.dtype) for t in model(given)))


def test_a_sparse_input() -> None:
    def model(x: Tensor, y: Tensor) -> Tensor:
        return torch.sparse.mm(x, y) * 2

    dense = torch.eye(3)
    same(compiled(model)(dense.to_sparse(), dense), model(dense.to_sparse(), dense))


def test_integers_that_do_not_fit_run_in_eager(caplog: pytest.LogCaptureFixture) -> None:
    def model(x: Tensor) -> Tensor:
        return x * 2 + 1

    fast = compiled(model)
    for value in (3, 2**40, 2**41):
        same(fast(torch.tensor([value])), model(torch.tensor([value])))
    assert sum("outside int32" in r.message for r in caplog.records) == 1


def test_numbers_as_arguments() -> None:
    def model(x: Tensor, count: int, scale: float, flag: bool) -> Tensor:
        return (x.repeat(count, 1) @ x.T) * scale if flag else x - scale

    fast = compiled(model)
    x = torch.randn(3, 4)
    for arguments in (
        (1, 1.0, True),
        (2, 1.5, True),
        (3, 2.5, True),
        (5, 2.5, True),
        (1, 1, False),
    ):
        same(fast(x, *arguments), model(x, *arguments))


def test_sizes_that_change() -> None:
    model = Convolutions(filtered)
    fast = torch.compile(model, backend="smartmem", dynamic=True, options={"device": "cpu"})
    for height, width in ((7, 5), (6, 8), (7, 5)):
        x = torch.randn(1, 3, height, width)
        same(fast(x), model(x))


def test_half_precision_and_autocast() -> None:
    half = Convolutions(filtered_in_float).to(torch.bfloat16)
    assert check(half, image().bfloat16()).parts == 2

    linear = nn.Linear(4, 4).eval()

    def cast(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = linear(x)
        return y.float() @ linear.weight

    x = torch.randn(3, 4)
    torch.testing.assert_close(compiled(cast)(x), cast(x), rtol=2e-2, atol=2e-2)
    assert last().is_whole


def filtered_in_float(x: Tensor) -> Tensor:
    return filtered(x.float()).to(x.dtype)


def test_inputs_that_require_a_gradient() -> None:
    model = Convolutions(filtered)
    x = image().requires_grad_()
    same(compiled(model)(x), model(x))
    with torch.enable_grad():
        y = compiled(model)(x)
        total = y.sum()
    with pytest.raises(smartmem.UserError, match="inference only"):
        total.backward()


def broken_by_print(x: Tensor) -> Tensor:
    y = x @ x.T
    print("between")  # noqa: T201
    return opaque(y @ x).relu()


def broken_by_item(x: Tensor) -> Tensor:
    return (x @ x.T) * (x.sum().item() + 1)


def broken_by_a_branch(x: Tensor) -> Tensor:
    y = x @ x.T
    return y.relu() @ x if y.sum() > 0 else y.exp() @ x


@pytest.mark.parametrize("model", [broken_by_print, broken_by_item, broken_by_a_branch])
def test_graph_breaks_are_reported_once(
    model: Callable[[Tensor], Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    before = len(smartmem.compile_reports())
    check(model, torch.randn(3, 4))
    made = smartmem.compile_reports()[before:]
    breaks = [line for report in made for line in report.graph_breaks]
    assert len(breaks) == 1
    assert "e2e/test_islands.py:" in breaks[0]
    warned = [r for r in caplog.records if r.name.startswith("smartmem")]
    assert breaks[0] in warned[0].message


def test_a_graph_that_is_whole_in_eager_is_counted_and_its_call_named() -> None:
    """Its effect, a check that raises, cannot be taken out of the graph."""
    report = check(lambda x: torch.linalg.inv(x @ x.T) @ x, torch.randn(3, 4))
    assert report.ops == report.eager_ops > 0
    assert report.flops == report.eager_flops == 2 * (2 * 3 * 3 * 4)
    whole, effect = report.unsupported
    assert (whole.op, effect.op) == ("the whole graph", "aten._linalg_check_errors.default")
    assert "a check that raises" in effect.reason


def test_recurrent_layers_are_compiled() -> None:
    """TorchDynamo by itself leaves them to eager, and says nothing."""
    report = check(nn.GRU(3, 4).eval(), torch.randn(2, 1, 3), strict=True)
    assert report.is_whole
    assert report.flops > 0


def test_a_changed_parameter_reaches_an_island() -> None:
    class Model(Convolutions):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + opaque(self.second.bias)[:, None, None]

    model = Model(filtered)
    fast = compiled(model)
    x = image()
    same(fast(x), model(x))
    model.second.bias.data[1] += 1.0
    model.first.weight.data[0] += 1.0
    same(fast(x), model(x))


def test_a_compiler_error_leaves_the_part_in_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    import smartmem.compiler

    def fail(*_: Any, **__: Any) -> None:
        raise CompileError("iree-compile failed: no kernel")

    monkeypatch.setattr(smartmem.compiler, "compile_model", fail)
    model = Convolutions(filtered)
    report = check(model, image())
    assert (report.parts, report.eager_ops) == (0, report.ops)
    failed = [r for r in report.unsupported if "CompileError" in r.reason]
    assert len(failed) == 2
    torch._dynamo.reset()
    with pytest.raises(CompileError, match="no kernel"):
        compiled(nn.Linear(4, 4).eval(), strict=True)(torch.randn(3, 4))


def test_threads_agree_while_others_compile() -> None:
    model = Convolutions(filtered)
    fast = compiled(model)
    known = image()
    fast(known)
    wanted = [(known, model(known)) for _ in range(2)]
    wanted += [(x, model(x)) for x in (torch.randn(4, 3, 7, 5), torch.randn(1, 3, 6, 6))]
    results: list[tuple[Tensor, Tensor]] = []

    def work(x: Tensor, expected: Tensor) -> None:
        with torch.no_grad():
            results.extend((fast(x), expected) for _ in range(5))

    threads = [threading.Thread(target=work, args=pair) for pair in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 5 * len(threads)
    for result, expected in results:
        same(result, expected)


def test_folders_go_with_what_they_were_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def folders() -> int:
        return len(list(tmp_path.glob("smartmem-compile-*")))

    model = nn.Linear(4, 4).eval()
    fast = compiled(model)
    for _ in range(3):
        same(fast(torch.ones(2, 4)), model(torch.ones(2, 4)))
        assert folders() == 1
        model.weight.data[0] += 1
    with pytest.raises(UnsupportedError):
        compiled(lambda x: opaque(x), strict=True)(torch.ones(2))
    assert folders() == 1
    del fast
    torch._dynamo.reset()
    gc.collect()
    assert folders() == 0


def test_an_interrupted_compile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import smartmem.compiler

    def interrupt(*_: Any, out: Path, **__: Any) -> None:
        out.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(smartmem.compiler, "compile_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compiled(nn.Linear(4, 4).eval())(torch.ones(2, 4))
    assert not list(tmp_path.glob("smartmem-compile-*"))


@pytest.mark.vulkan
def test_islands_between_parts_on_vulkan() -> None:
    assert check(Convolutions(filtered), image(), device="vulkan").parts == 2


def test_ahead_of_time_there_is_no_fallback(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError):
        smartmem.compile(Convolutions(filtered), (image(),), out=tmp_path / "x.smartmem")
    assert not list(tmp_path.iterdir())
