"""Passes can be left out by name, all but those without which nothing is compiled."""

import pytest

from smartmem.errors import UserError
from smartmem.passes import pipeline
from smartmem.passes.verify_lowered import VerifyLoweredPass


def test_each_optional_pass_can_be_left_out() -> None:
    for name in pipeline.optional_passes():
        pipeline.check_disabled([name])
        steps = [*pipeline.layout_passes("vulkan"), *pipeline.lowering_passes("vulkan")]
        assert name in [step.name for step in steps]
        assert name not in [step.name for step in pipeline.without(steps, [name])]


@pytest.mark.parametrize("name", [VerifyLoweredPass.name, "smartmem-select-layout"])
def test_needed_and_unknown_passes_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=name) as error:
        pipeline.check_disabled([name])
    assert "smartmem-eliminate-views" in str(error.value.hint)
