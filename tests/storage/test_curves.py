import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from storage.curves import Curve, CurveError, decode, encode

FIELDS = ("step", "tokens", "flops", "loss", "train_loss", "lr", "seconds")


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    n_reports = draw(st.integers(0, 20))
    steps = draw(np_st.arrays(np.int64, n_reports, elements=st.integers(0, 2**62)))
    n_arrays = len(FIELDS) - 1 + draw(st.booleans())
    return Curve(steps, *(draw(np_st.arrays(np.float64, n_reports)) for _ in range(n_arrays)))


@given(curves())
def test_a_curve_comes_back_bit_for_bit(curve: Curve) -> None:
    back, arrays = decode(encode(curve)).columns(), curve.columns()
    assert list(back) == list(arrays)
    assert set(FIELDS) <= set(back)
    for name, array in arrays.items():
        assert back[name].tobytes() == array.tobytes()
        assert back[name].dtype == array.dtype


def test_a_curve_that_was_kept_before_noise_scales_were_measured_is_read() -> None:
    """Its record has no such field, as that of a run which does not measure them."""
    records = np.array(
        [(1, *[0.5] * 6)], dtype=[(n, "i8" if n == "step" else "f8") for n in FIELDS]
    )
    buffer = io.BytesIO()
    np.savez_compressed(buffer, curve=records)
    found = decode(buffer.getvalue())
    assert found.noise_scale is None
    assert list(found.columns()) == list(FIELDS)
    assert encode(found) == encode(Curve(*(found.columns().values())))


@given(curves(), st.data())
def test_damaged_bytes_never_raise_anything_but_a_curve_error(
    curve: Curve, data: st.DataObject
) -> None:
    packed = bytearray(encode(curve))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(CurveError):
        decode(bytes(packed))


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04"])
def test_what_is_no_curve_is_refused(data: bytes) -> None:
    with pytest.raises(CurveError, match=rf"not a stored curve \({len(data)} bytes\)"):
        decode(data)


def test_a_pickle_in_place_of_a_curve_is_not_run() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, curve=np.array([{"anything": "at all"}], dtype=object))
    with pytest.raises(CurveError, match="allow_pickle=False"):
        decode(buffer.getvalue())


def test_arrays_of_unequal_length_are_refused() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(CurveError, match=r"lr has shape \(2,\).*step does with 1"):
        Curve(np.ones(1, dtype=np.int64), one, one, one, one, two, one)


def test_lists_of_numbers_will_do() -> None:
    curve = Curve([1, 2], [512, 1024], [1, 2], [5, 4], [5, 4], [1e-3, 1e-3], [0.1, 0.2])
    assert len(curve) == 2
    assert curve.step.dtype == np.int64
    assert curve.loss.dtype == np.float64
