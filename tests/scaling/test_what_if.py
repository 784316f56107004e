"""What other settings would give at the target: zero at the optimum, the law's loss elsewhere."""

import numpy as np
import pytest

from scaling.errors import LawError
from scaling.fitting import fit_law
from scaling.what_if import what_if


@pytest.fixture(scope="module")
def law(draw, truth):
    return fit_law(draw(truth, per_scale=10, noise=0.002), n_draws=60)


@pytest.fixture(scope="module")
def prediction(law):
    return law.predict(1e9, 2e10)


def test_at_the_optimum_it_is_what_the_prediction_expects(law, prediction):
    best = {name: interval.value for name, interval in prediction.optimum.items()}
    found = what_if(law, prediction.target, best)
    assert found.loss[0] == pytest.approx(prediction.loss.value)
    assert found.regret_pct[0] == pytest.approx(prediction.regret_pct.expected)
    assert what_if(law, prediction.target, {}).regret_pct == pytest.approx(found.regret_pct)


def test_off_the_optimum_it_is_the_law_s_loss_and_costs_more(law, prediction):
    rates = prediction.optimum["lr"].value * 2.0 ** np.arange(-3, 4)
    found = what_if(law, prediction.target, {"lr": rates})
    assert found.loss == pytest.approx(law.loss(1e9, 2e10, lr=rates))
    assert found.regret_pct.argmin() == 3
    assert (found.regret_low <= found.regret_pct).all()
    assert (found.regret_pct <= found.regret_high).all()
    assert (found.loss_low <= found.loss).all()
    assert (found.loss <= found.loss_high).all()


def test_wrong_settings_are_refused(law, prediction):
    with pytest.raises(LawError, match="does not place 'beta2'"):
        what_if(law, prediction.target, {"beta2": 0.9})
    with pytest.raises(LawError, match="lr is 0"):
        what_if(law, prediction.target, {"lr": 0.0})
