"""What is said of a check: the verdict of each part, the worst layer, and what is known to fail."""

from dataclasses import replace

from scaling.basin_check import check_basins
from scaling.transfer_words import held_words, sentences
from tests.scaling.test_basin_check import cliff, runs
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


def test_a_rate_at_which_the_largest_size_diverges_is_said_to():
    (said,) = sentences(check(NOTHING, (cliff(-6, best=-5.0, octaves=-1.0),)))
    assert "the best rate of width 64 does not serve the largest size" in said
    assert "width 256 diverges there, as at least one of its seeds did at 0.0156" in said
    assert "widen" not in said
    assert "% of loss" not in said
    (said,) = sentences(check(NOTHING, (cliff(-10),)))
    assert "width 256 diverges there, as at least one of its seeds did at 0.000977" in said


def test_rates_that_would_tell_more_are_named():
    (said,) = sentences(check(NOTHING, (cliff(-5, best=-5.2, octaves=-1.0),)))
    assert "may serve the largest size, or not: it costs at least 0.0051 % of loss" in said
    assert "width 256 has not a loss on both sides of that rate: try it at 0.0272" in said
    (said,) = sentences(check(NOTHING, (cliff(-6, best=-7.2),)))
    assert "at width 256 the next rate diverged: try rates between" in said
    assert "widen" not in said


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
