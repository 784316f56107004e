import pytest

from scaling.errors import LawError
from scaling.loss_laws.budget import optimal_allocation
from scaling.loss_laws.published import PUBLISHED_LOSS_LAWS, published_loss_law


def test_each_says_where_it_is_from():
    names = [published.law.name for published in PUBLISHED_LOSS_LAWS]
    assert len(set(names)) == len(names)
    assert all("arXiv" in published.source for published in PUBLISHED_LOSS_LAWS)
    with pytest.raises(LawError, match="there are hoffmann-2022, besiroglu-2024"):
        published_loss_law("chinchila")


def test_the_replication_agrees_with_twenty_tokens_a_parameter():
    law = published_loss_law("besiroglu-2024").law
    best = optimal_allocation(law, 5.76e23)  # Chinchilla's own compute
    assert 15 < best.tokens_per_param.value < 30


def test_chinchilla_itself_is_predicted_about_as_measured():
    # 70 billion parameters on 1.4 trillion tokens.
    for name in ("hoffmann-2022", "besiroglu-2024"):
        assert 1.9 < float(published_loss_law(name).law.loss(70e9, 1.4e12)) < 2.1


def test_kaplans_joint_law_tends_to_his_law_of_size_alone():
    law = published_loss_law("kaplan-2020").law
    assert float(law.loss(1e9, 1e20)) == pytest.approx((6.4e13 / 1e9) ** 0.076, rel=1e-3)
