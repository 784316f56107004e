"""Which optimizers there are by name, and which settings each reads; torch-free.

The built-in ones are OPTIMIZERS; any other name is asked of pytorch-optimizer, which is imported
for it. How each follows the size of a model is in `trainers.scaling_rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from trainers.errors import TrainerError, unknown

DEFAULT = "adamw"

PACKAGE_MISSING = "is of pytorch-optimizer, which is not installed; pip install pytorch-optimizer"


@dataclass(frozen=True)
class OptimizerName:
    """What is known of an optimizer before it is built."""

    reads: tuple[str, ...]
    """The settings that it reads beside lr."""
    packaged: bool = False
    """Whether it is pytorch-optimizer's; the others are torch's own."""
    caution: str = ""
    """What a user who transfers its learning rate should know."""
    defaults: Mapping[str, float] = field(default_factory=dict)
    """Those of its settings whose default is another than the loop's."""


READ_BY_SOME = ("weight_decay", "beta1", "beta2", "eps")
"""The settings that only some optimizers read; each reads lr."""

OPTIMIZERS: Mapping[str, OptimizerName] = {
    "adamw": OptimizerName(READ_BY_SOME),
    # beta1 is its momentum. Its rates are near 1, where AdamW's λ would shrink w by a tenth a step.
    "sgd": OptimizerName(("weight_decay", "beta1"), defaults={"weight_decay": 0.0}),
    # Its steps are not relative to the size of a tensor.
    "adafactor": OptimizerName(("weight_decay", "eps")),
    # beta1 is its momentum; a step of muon-rms is as large as AdamW's.
    "muon": OptimizerName(READ_BY_SOME),
    "muon-rms": OptimizerName(READ_BY_SOME),
    "lion": OptimizerName(
        ("weight_decay", "beta1", "beta2"),
        packaged=True,
        caution="in theory lion transfers as adamw does; one large study found that it does not",
    ),
    "adabelief": OptimizerName(READ_BY_SOME, packaged=True),
    # Without momentum; eps is added to its preconditioners.
    "shampoo": OptimizerName(("weight_decay", "eps"), packaged=True),
    "soap": OptimizerName(READ_BY_SOME, packaged=True),
    # beta1 is the decay of its velocity.
    "gravity": OptimizerName(("beta1",), packaged=True),
}
"""Those that are built in, by name."""


def optimizer_of(name: str, role: str, n_dims: int) -> str:
    """Return by name the optimizer that trains a tensor where `name` is asked for.

    Muon trains hidden matrices; what it leaves is AdamW's.
    """
    if name in ("muon", "muon-rms") and (role != "hidden" or n_dims != 2):
        return "adamw"
    return name


def check_name(name: str) -> None:
    """Raise TrainerError unless there is an optimizer called `name` on this machine.

    A name that is not built in is looked up in pytorch-optimizer, for which torch is imported.
    """
    installed = find_spec("pytorch_optimizer") is not None
    if name in OPTIMIZERS:
        if OPTIMIZERS[name].packaged and not installed:
            raise TrainerError(f"optimizer {name!r} {PACKAGE_MISSING}")
        return
    if not installed:
        error = unknown("optimizer", name, OPTIMIZERS)
        raise TrainerError(f"{error}; further ones come with pip install pytorch-optimizer")
    from trainers.packaged_optimizers import check_packaged

    check_packaged(name)


def own_defaults(name: str) -> Mapping[str, float]:
    """Return the settings that an optimizer has defaults of its own for."""
    if name in OPTIMIZERS:
        return OPTIMIZERS[name].defaults
    from trainers.packaged_optimizers import own_defaults

    return own_defaults(name)


def settings_read(name: str) -> tuple[str, ...]:
    """Return the settings beside lr that the optimizer called `name` reads."""
    if name in OPTIMIZERS:
        return OPTIMIZERS[name].reads
    from trainers.packaged_optimizers import settings_read

    return settings_read(name)
