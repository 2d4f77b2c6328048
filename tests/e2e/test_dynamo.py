"""``torch.compile(backend="smartmem")``: right numbers, watched parameters, no training."""

import copy

import pytest
import torch
from torch import nn

import smartmem
from smartmem.errors import UserError
from smartmem.frontend.dynamo import Options


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        return {"logits": self.head(self.dropout(pooled)), "pooled": pooled}


def image(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, 9, 7, generator=torch.Generator().manual_seed(batch))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    torch._dynamo.reset()
    return Net().eval()


def assert_equal_to_eager(compiled: nn.Module, net: Net, x: torch.Tensor) -> None:
    with torch.no_grad():
        ours, eager = compiled(x), net(x)
    for name in eager:
        assert (ours[name] - eager[name]).norm() <= 1e-5 * eager[name].norm(), name


def test_the_entry_point_is_registered() -> None:
    assert "smartmem" in torch._dynamo.list_backends()


def test_several_shapes_each_have_an_artefact(net: Net) -> None:
    compiled = torch.compile(net, backend="smartmem")
    for batch in (2, 3, 2):
        assert_equal_to_eager(compiled, net, image(batch))


@pytest.mark.parametrize("change", ["in place", "one element of .data", "replaced", "buffer"])
def test_a_changed_parameter_is_never_ignored(net: Net, change: str) -> None:
    compiled = torch.compile(net, backend="smartmem")
    assert_equal_to_eager(compiled, net, image())
    with torch.no_grad():
        if change == "in place":
            net.head.weight.add_(1.0)
        elif change == "one element of .data":
            net.head.weight.data[1, 2] += 1.0
        elif change == "replaced":
            net.head.weight = nn.Parameter(torch.randn(4, 8))
        else:
            net.norm.running_mean.add_(0.5)
    assert_equal_to_eager(compiled, net, image())


def test_a_gradient_is_refused_when_asked_for(net: Net) -> None:
    outputs = torch.compile(net, backend="smartmem")(image())
    with pytest.raises(UserError, match="inference only"):
        outputs["logits"].sum().backward()


def test_training_mode_draws_and_writes_as_eager(net: Net) -> None:
    """Dropout by eager's numbers, and the running statistics of two calls; all in one artefact."""
    twin = copy.deepcopy(net).train()
    options = {"strict": True, "device": "cpu"}
    compiled = torch.compile(net.train(), backend="smartmem", fullgraph=True, options=options)
    with torch.no_grad():
        for batch in (2, 2):
            torch.manual_seed(7)
            expected, after = twin(image(batch)), torch.get_rng_state()
            torch.manual_seed(7)
            ours = compiled(image(batch))
            assert torch.equal(torch.get_rng_state(), after)
            for name, value in expected.items():
                torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)
    assert net.norm.num_batches_tracked == 2
    for name, value in twin.named_buffers():
        torch.testing.assert_close(net.get_buffer(name), value, rtol=1e-4, atol=1e-5)
    report = smartmem.compile_reports()[-1]
    assert (report.is_whole, report.parts, report.draws) == (True, 1, 1)
    assert "random draws: 1" in str(report)


def test_a_graph_break_leaves_two_compiled_parts(net: Net) -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        pooled = net(x)["pooled"]
        torch._dynamo.graph_break()
        return net.head(pooled) * 2

    compiled = torch.compile(broken, backend="smartmem")
    with torch.no_grad():
        expected = broken(image())
        assert (compiled(image()) - expected).norm() <= 1e-5 * expected.norm()


def test_options_are_checked() -> None:
    with pytest.raises(UserError, match="Did you mean 'device'"):
        Options.of({"devise": "cpu"})
    with pytest.raises(UserError, match="check_parameters"):
        Options.of({"check_parameters": "never"})
    # As it is, and not in an error of TorchDynamo's.
    with pytest.raises(UserError, match=r"unknown option 'strikt'.*Did you mean 'strict'"):
        torch.compile(nn.ReLU(), backend="smartmem", options={"strikt": True})(image())


def test_the_fused_layers_of_inference_are_compiled() -> None:
    """Called without gradients, PyTorch's transformer layers are one op each."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True).eval()
    x, padding = torch.randn(2, 5, 16), torch.arange(5) > torch.tensor([[4], [2]])
    compiled = torch.compile(layer, backend="smartmem", options={"strict": True})
    with torch.no_grad():
        ours, eager = (f(x, src_key_padding_mask=padding) for f in (compiled, layer))
    assert (ours - eager).norm() <= 1e-5 * eager.norm()
