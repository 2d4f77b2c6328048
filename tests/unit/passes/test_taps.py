"""What the taps of a grouped convolution read, against a loop over positions."""

from hypothesis import given
from hypothesis import strategies as st

from smartmem.passes.analysis.taps import Span, _span


def seen(span: Span, stride: int, blocks: int) -> list[int | None]:
    """Per position the element that is read; None for border."""
    inside = [(span.start + i) * stride + span.phase for i in range(span.length)]
    assert all(0 <= element < blocks * stride for element in inside)
    return [None] * span.low + inside + [None] * span.high


@given(
    st.integers(-9, 9),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(1, 8),
)
def test_a_span_is_what_its_tap_reads(offset: int, stride: int, blocks: int, places: int) -> None:
    reads = [place * stride + offset for place in range(places)]
    size = blocks * stride
    expected = [element if 0 <= element < size else None for element in reads]
    span = _span(offset, stride, blocks, places)
    if any(element is not None for element in expected):
        assert seen(span, stride, blocks) == expected
    else:
        assert span.length == 0
