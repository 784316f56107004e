import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.errors import TrainerError
from trainers.schedules import COSINE_FINAL_FRACTION, SCHEDULES, lr_fraction


@given(
    schedule=st.sampled_from(SCHEDULES),
    steps=st.integers(1, 400),
    warmup_fraction=st.floats(0, 0.99),
)
def test_it_rises_to_the_peak_and_falls_ever_after(
    schedule: str, steps: int, warmup_fraction: float
):
    warmup = min(round(warmup_fraction * steps), steps - 1)
    values = [lr_fraction(schedule, step, steps, warmup) for step in range(steps)]
    assert all(0 < value <= 1 for value in values)
    assert values[: warmup + 1] == sorted(values[: warmup + 1])
    assert values[max(0, warmup - 1) :] == sorted(values[max(0, warmup - 1) :], reverse=True)
    assert max(values) == pytest.approx(1)


def test_known_values():
    assert [lr_fraction("linear", s, 10, 2) for s in (0, 1, 2, 6, 9)] == [0.5, 1, 1, 0.5, 0.125]
    assert [lr_fraction("wsd", s, 10, 2) for s in (1, 2, 7, 8, 9)] == [1, 1, 1, 1, 0.5]
    assert [lr_fraction("constant", s, 10, 2) for s in (0, 1, 9)] == [0.5, 1, 1]
    halfway = (1 + COSINE_FINAL_FRACTION) / 2
    assert lr_fraction("cosine", 6, 10, 2) == pytest.approx(halfway)
    assert lr_fraction("cosine", 10_000, 10_001, 1) == pytest.approx(COSINE_FINAL_FRACTION)


def test_unknown_schedule():
    with pytest.raises(TrainerError, match="did you mean 'cosine'"):
        lr_fraction("cosin", 0, 10, 0)
