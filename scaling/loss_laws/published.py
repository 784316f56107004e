"""Loss laws that others fitted, to stand beside one's own.

`checked` is true where the constants were held against the authors' own data; the others are
second-hand: quoted by others, even where several quote them alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaling.errors import LawError
from scaling.loss_laws.forms import CHINCHILLA
from scaling.loss_laws.kaplan import KAPLAN
from scaling.loss_laws.law import LossLaw
from scaling.loss_laws.repeated_data import RepeatedData


@dataclass(frozen=True)
class PublishedLossLaw:
    """A law with its source and its conventions."""

    law: LossLaw
    source: str
    conventions: str
    checked: bool


PUBLISHED_LOSS_LAWS: tuple[PublishedLossLaw, ...] = (
    PublishedLossLaw(
        LossLaw.published(
            "hoffmann-2022",
            CHINCHILLA,
            {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
        ),
        source="Hoffmann et al. 2022, arXiv 2203.15556",
        conventions="N with embeddings; MassiveText; rounded so far that it misfits its own data",
        checked=False,
    ),
    PublishedLossLaw(
        LossLaw.published(
            "besiroglu-2024",
            CHINCHILLA,
            {"E": 1.8169, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3659},
        ),
        source="Besiroglu et al. 2024 (Epoch), arXiv 2404.10102",
        conventions="the runs of Hoffmann et al. read off their figure, the five highest dropped",
        checked=True,
    ),
    PublishedLossLaw(
        LossLaw.published(
            "kaplan-2020",
            KAPLAN,
            {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        ),
        source="Kaplan et al. 2020, arXiv 2001.08361, table 2 as a public replication quotes it",
        conventions="N without embeddings; WebText2; stopped early",
        checked=False,
    ),
    PublishedLossLaw(
        LossLaw.published(
            "muennighoff-2023",
            RepeatedData(r_data=15.388, r_params=5.310),
            {
                "E": math.exp(0.6255),
                "A": math.exp(6.2554),
                "B": math.exp(7.3050),
                "alpha": 0.3527,
                "beta": 0.3527,
                "R_D": 15.388,
                "R_N": 5.310,
            },
        ),
        source="Muennighoff et al. 2023, arXiv 2305.16264, quoted second-hand",
        conventions="C4; one exponent for N and D; R_N of the same paper",
        checked=False,
    ),
)


def published_loss_law(name: str) -> PublishedLossLaw:
    """Return the published law of a name; LawError, with the names there are, for another."""
    for published in PUBLISHED_LOSS_LAWS:
        if published.law.name == name:
            return published
    names = ", ".join(published.law.name for published in PUBLISHED_LOSS_LAWS)
    raise LawError(f"no published loss law named {name!r}; there are {names}")
