"""What is said of a check: the verdict of each part, the worst layer, and what is known to fail."""

from dataclasses import replace

from scaling.basin_check import check_basins
from scaling.transfer_words import held_words, sentences
from tests.scaling.test_basin_check import runs
from tests.scaling.test_coordinate_slopes import changes
from tests.scaling.test_transfer_check import NOTHING, SUBJECT, check

FLAT, STEEP = changes({"readout": 0.02, "mlp": 0.05}), changes({"readout": 0.02, "mlp": 0.9})


def test_the_worst_layer_is_named_with_its_slope():
    (said,) = sentences(check(FLAT))
    assert "all 2 layers move alike" in said
    assert "mlp over width, +0.050" in said
    (said,) = sentences(check(STEEP))
    assert "1 of 2 layers do not move alike" in said
    assert "mlp over width, +0.900" in said


def test_a_basin_tells_what_the_smallest_rate_costs():
    (said,) = sentences(check(NOTHING, check_basins(runs(0.0))))
    assert "the best rate of width 64 serves the largest size" in said
    assert "0 % of loss at width 256 (0 to 0 %; at most 0.5 % passes)" in said
    (said,) = sentences(check(NOTHING, check_basins(runs(0.0, best=-3.0))))
    assert "at width 64, 128, 256 it is at the edge of the rates: widen them" in said


def test_what_else_was_equal_is_said():
    checks = check_basins(runs(0.0).assign(weight_decay=0.1))
    assert held_words(checks[0]) == ""
    (first, *_) = check_basins(runs(0.0), held=("seed",))
    assert held_words(first) == " at seed 0"


def test_what_is_known_to_fail_is_explained():
    def notes(**subject: object) -> list[str]:
        made = check(STEEP)
        return sentences(replace(made, subject=replace(made.subject, **subject)))[1:]

    assert notes() == []
    (clipped,) = notes(optimizer="sgd")
    assert "grad_clip 0" in clipped
    (rule,) = notes(parametrization="u-mup", options={"embedding_lr": "sqrt"})
    assert "embedding_lr constant" in rule
    assert notes(parametrization="u-mup", options={"embedding_lr": "constant"}) == []
    assert SUBJECT.optimizer == "adamw"
