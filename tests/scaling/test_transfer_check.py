"""A whole check: its verdict from its parts, and its document."""

import json

import pandas as pd
import pytest

from scaling.basin_check import check_basins
from scaling.coordinate_slopes import CHANGES
from scaling.errors import LawError
from scaling.transfer_check import Subject, TransferCheck
from tests.scaling.test_basin_check import cliff, runs
from tests.scaling.test_coordinate_slopes import changes

SUBJECT = Subject("gpt", "mup", "adamw", {"context": 32}, {"embedding_lr": "constant"})
NOTHING = pd.DataFrame(columns=list(CHANGES))
FLAT, STEEP = changes({"readout": 0.02}), changes({"readout": 0.02, "mlp": 0.9})
STAYS, MOVES = (check_basins(runs(octaves)) for octaves in (0.0, -0.8))
BEYOND = check_basins(runs(0.0, best=-3.0))


def check(table: pd.DataFrame, basins: tuple = (), axes: tuple[str, ...] = ("width",)):
    return TransferCheck("one", SUBJECT, {"lr": 2**-8}, "python-stdlib", axes, table, basins)


@pytest.mark.parametrize(
    ("made", "passed"),
    [
        (check(FLAT), True),
        (check(STEEP), False),
        (check(FLAT, STAYS), True),
        (check(FLAT, MOVES), False),
        (check(STEEP, STAYS), False),
        (check(FLAT, BEYOND), None),
        (check(FLAT, (cliff(-5, best=-5.0),)), False),
        (check(STEEP, BEYOND), False),
        (check(NOTHING, STAYS), True),
        (check(FLAT, axes=("depth",)), None),
        (check(NOTHING), None),
    ],
)
def test_every_part_must_hold(made, passed):
    assert made.passed is passed


@pytest.mark.parametrize("basins", [MOVES, (cliff(-5, best=-5.0), cliff(-10))])
def test_the_document_holds_everything(basins):
    before = check(STEEP, basins)
    document = json.loads(json.dumps(before.to_dict(), allow_nan=False))
    after = TransferCheck.from_dict(document, created="2026-01-01")
    assert after.subject == SUBJECT
    assert after.passed is before.passed
    assert [one.layer for one in after.slopes] == ["mlp", "readout"]
    assert after.slopes[0].slope.value == pytest.approx(before.slopes[0].slope.value, abs=1e-4)
    assert after.to_dict() == before.to_dict()


def test_activations_that_are_not_finite_stay_so():
    table = FLAT.assign(log_rms=FLAT["log_rms"].where(FLAT["size"] < 512))
    kept = TransferCheck.from_dict(json.loads(json.dumps(check(table).to_dict(), allow_nan=False)))
    assert kept.passed is False


def test_a_document_of_another_version_is_refused():
    with pytest.raises(LawError, match="version 9"):
        TransferCheck.from_dict({**check(FLAT).to_dict(), "schema_version": 9})


def test_the_subject_says_what_it_is():
    assert SUBJECT.title == "gpt under mup with adamw"
