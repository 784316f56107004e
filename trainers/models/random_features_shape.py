"""A linear model on random features of data with a power-law spectrum, whose law is known.

Data x has independent Gaussian coordinates, the j-th with standard deviation j^-α, and its target
is y = Σ_j j^-β x_j. The model sees `width` random features of x, each a Gaussian mixture of all
coordinates, and is linear in them; it is trained by one pass of SGD. Told by a Gaussian of
variance 1, y costs ½(y - f)² + ½ ln 2π nats, of which the expectation is, for 2α > 1 > 2β,

    L(N, D) ≈ E + A·N^-(2α+2β-1) + B·D^-(2α+2β-1)/(2α),    E = ½ ln 2π, N = width, D = samples.

Both powers are sums over coordinates, Σ j^-(2α+2β). `width` features resolve about as many of
them, so those beyond it stay unlearned. SGD at rate η learns the j-th after 1/(η·j^-2α) steps, so
of D samples those beyond j ~ D^(1/2α) stay. The noise of SGD adds to neither power. (Maloney et al.
2022, arXiv 2210.16859, has such data and features, Bahri et al. 2021, arXiv 2102.06701, the
powers of ridge regression; Paquette et al. 2024, arXiv 2405.15074, those of SGD, here their phase
Ia. All three second-hand; derived above and measured in the tests.)

The powers hold for SGD without momentum or decay at a rate that is right at every width: constant
under muP, proportional to 1/width under `sp`. torch-free.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trainers.config import Value
from trainers.errors import TrainerError
from trainers.models.sizes import read_sizes
from trainers.settings import SettingRule, complete

N_DRAWN = 8_192
"""Coordinates whose part in each feature is drawn; of the others the sum is known well enough."""
LARGEST_WIDTH = N_DRAWN // 8
FEATURES_SEED = 1
"""What features leave unlearned scatters about its power from draw to draw, by a third at width 32.
Of 100 draws this one stays nearest: within 10 % at 32 to 512."""
IRREDUCIBLE_LOSS = 0.5 * math.log(2 * math.pi)
"""E, nats a sample."""

MODEL_OPTIONS: dict[str, SettingRule] = {
    "spectrum_exponent": SettingRule("float", "α: x_j has deviation j^-α", 1.0, above=0.5),
    "target_exponent": SettingRule("float", "β: y = Σ j^-β x_j", 0.25, at_least=0, below=0.5),
}


@dataclass(frozen=True)
class RandomFeaturesShape:
    """The shape of a linear model on random features, and the law that its losses follow."""

    width: int
    """Features."""
    spectrum_exponent: float = 1.0
    target_exponent: float = 0.25

    @property
    def params_exponent(self) -> float:
        """The power by which loss above IRREDUCIBLE_LOSS falls with N."""
        return 2 * self.spectrum_exponent + 2 * self.target_exponent - 1

    @property
    def tokens_exponent(self) -> float:
        """The power by which it falls with D."""
        return self.params_exponent / (2 * self.spectrum_exponent)

    @property
    def n_params(self) -> int:
        """N: a weight a feature."""
        return self.width

    @property
    def n_params_total(self) -> int:
        """The same: features are not trained."""
        return self.width

    @property
    def forward_flops_per_token(self) -> int:
        """FLOPs of a forward pass, a sample; what features cost is not counted."""
        return 2 * self.width

    @property
    def data_flops_per_token(self) -> int:
        """The same: the only product is with the data's features."""
        return 2 * self.width


def random_features_shape(
    shape: Mapping[str, int], model: Mapping[str, Value]
) -> RandomFeaturesShape:
    """Return the shape for `shape` (width) and `model` (see MODEL_OPTIONS).

    Raises TrainerError for a width that is missing, not positive or above LARGEST_WIDTH.
    """
    (width,) = read_sizes(shape, ("width",))
    if width > LARGEST_WIDTH:
        raise TrainerError(f"width is {width}; it must be at most {LARGEST_WIDTH} features")
    options = complete(MODEL_OPTIONS, model, "model option")
    return RandomFeaturesShape(
        width, float(options["spectrum_exponent"]), float(options["target_exponent"])
    )
