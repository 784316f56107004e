"""Tables of curves at the door: ordered, checked by row and column, some rows taken."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from storage.curves_table import check_curves, read_curves
from storage.errors import RunsTableError

NEEDS = ("step", "lr", "loss")
GOOD = """schedule,size,step,lr,loss
cosine,25,20,1e-3,3.0
cosine,25,10,2e-3,
cosine,100,10,2e-3,2.9
wsd,25,10,2e-3,3.1
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        path = tmp_path / "curves.csv"
        path.write_text(text)
        return path

    return to_file


def test_reports_stand_by_run_and_step(write: Callable[[str], Path]) -> None:
    table = read_curves(write(GOOD), {"run_id": "schedule"}, needs=NEEDS, only={"size": "25.0"})
    assert table["run_id"].tolist() == ["cosine", "cosine", "wsd"]
    assert table["step"].tolist() == [10, 20, 10]
    assert table["loss"].isna().tolist() == [True, False, False]


def test_a_table_without_run_id_is_one_run(write: Callable[[str], Path]) -> None:
    table = read_curves(write("step,grad_norm\n2,0.5\n1,0.7\n"), needs=("step", "grad_norm"))
    assert table["run_id"].tolist() == ["curves", "curves"]
    assert table["grad_norm"].tolist() == [0.7, 0.5]


@pytest.mark.parametrize(
    ("change", "only", "message"),
    [
        (("2e-3,2.9", "x,2.9"), {}, "row 3, column 'lr': 'x' is not a number (learning rate of"),
        (("wsd,25,10", "wsd,25,"), {"size": "25"}, "row 4, column 'step': is missing (optimizer"),
        (("3.1", "-3.1"), {}, "row 4, column 'loss': -3.1 must be above 0"),
        (
            ("", ""),
            {},
            "row 3, column 'step': run 'cosine' has 10 in row 2 too; where several runs share a",
        ),
        (("", ""), {"size": "50"}, "no row has size=50; column 'size' has 25, 100"),
        (("", ""), {"sise": "25"}, "cannot take only sise=25: there is no column 'sise'; did you "),
        (("loss", "lss"), {}, "no column 'loss'; did you mean 'lss'? pass --map loss=lss"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(
    write: Callable[[str], Path], change: tuple[str, str], only: dict[str, str], message: str
) -> None:
    path = write(GOOD.replace(*change))
    with pytest.raises(RunsTableError) as caught:
        read_curves(path, {"run_id": "schedule"}, needs=NEEDS, only=only)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_frame_of_any_index_is_checked() -> None:
    frame = pd.DataFrame({"step": [1, 2], "lr": [0.1, 0.1], "loss": [3.0, 0.0]}, index=["x", "y"])
    with pytest.raises(RunsTableError, match=r"row 2, column 'loss': 0\.0 must be above 0"):
        check_curves(frame, needs=NEEDS)
