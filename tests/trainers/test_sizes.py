import pytest

from trainers.errors import TrainerError
from trainers.models.sizes import check_heads, nearest_multiples, read_sizes


def test_sizes_are_read_in_the_order_asked_for():
    assert read_sizes({"depth": 2, "width": 64}, ("width", "depth")) == (64, 2)


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ({"depth": 2}, "width is missing"),
        ({"width": 0, "depth": 2}, "width is 0; it must be a pos"),
    ],
)
def test_a_size_that_is_none_is_refused(shape: dict[str, int], says: str):
    with pytest.raises(TrainerError, match=says):
        read_sizes(shape, ("width", "depth"))


@pytest.mark.parametrize(("value", "nearest"), [(40, "32 and 48"), (8, "16"), (17, "16 and 32")])
def test_the_nearest_multiples_are_those_around(value: int, nearest: str):
    assert nearest_multiples(value, 16) == nearest


def test_heads_fill_the_width():
    check_heads(48, 16)
    check_heads(64, 16, kv_group=2)
    with pytest.raises(TrainerError, match=r"width 40 .* heads of 16; the nearest .* 32 and 48"):
        check_heads(40, 16)
    with pytest.raises(TrainerError, match=r"groups of 2 heads of 16; .*: 32 and 64"):
        check_heads(48, 16, kv_group=2)
