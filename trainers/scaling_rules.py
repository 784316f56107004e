"""How initialisation, learning rate, decay and ε change with size: one pure function, `rules`.

r_n is width over base width and r_L depth over base depth. Sources of the exponents: Tensor
Programs V (arXiv 2203.03466, Table 8) and its microsoft/mup for `mup`; CompleteP (arXiv 2505.01618,
Table 1) for `complete-p`; for `depth-mup` and for SGD and matrix optimizers "Spectral Condition for
μP under Width-Depth Scaling" (arXiv 2603.00541) and arXiv 2512.05620; Unit-Scaled μP
(arXiv 2407.17465) for `u-mup`. Of these the code of CompleteP and of u-μP was read, the papers'
tables are second-hand. What of them follows from the rest is derived here, not tabled:

- Decay: η·λ is held, so λ is divided by the tensor's own learning-rate multiplier. (CompleteP's
  code leaves λ as it is where a power of depth other than 1 changes the rate.)
- Depth: a branch is multiplied by r_L^-α, so gradients inside it shrink alike, and what a block
  adds in a step must go as r_L^(α-1) for r_L blocks to add up to the same change. A step that grows
  as the gradient to the power p then needs η as r_L^(α(1+p)-1), and ε goes with the gradient.
- ε of SOAP under the spectral rule: the square root of Shampoo's, which is added to products of two
  gradients.
- `u-mup`: `depth-mup` from a base of width and depth 1, rescaled so that every tensor starts with
  unit variance (`rescaled`). Unit scaling further scales gradients on their way back, which no
  multiplier of a tensor can express; but scales of gradients are what ε is relative to, and nothing
  else under Adam, so ε takes them up and training is the same.
- Tensors that are not in the table: the bias of a layer is a matrix with fan-in 1, an input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainers.config import Value
from trainers.errors import TrainerError, unknown
from trainers.settings import SettingRule, complete
from trainers.tags import Fans, Role, Tag

SCHEMES = ("sp", "mup", "u-mup", "depth-mup", "complete-p")


@dataclass(frozen=True)
class Rule:
    """What the parametrization makes of one tensor."""

    init_std: float
    """Standard deviation of its initial values; 0 for vectors, which start at a constant."""
    forward_multiplier: float
    """Factor on what the tensor computes."""
    lr_multiplier: float
    weight_decay_multiplier: float
    """Factor on λ, where a step shrinks the tensor by lr·λ·w (torch.optim.AdamW)."""
    eps_multiplier: float


def _by_role(input: float, hidden: float, output: float, vector: float) -> dict[Role, float]:
    return {"input": input, "hidden": hidden, "output": output, "vector": vector}


_NONE = _by_role(0, 0, 0, 0)


@dataclass(frozen=True)
class Family:
    """How optimizers of one kind follow width: powers of r_n by role, to be read as a table row."""

    lr: Mapping[Role, float]
    eps: Mapping[Role, float]
    step_power: int = 0
    """A step grows as the gradient to this power: 1 for SGD, 0 where only its direction counts."""
    eps_power: int = 0
    """ε is compared with the gradient to this power; 0: there is no ε."""


_ADAM_LR = _by_role(0, -1, 0, 0)
_ADAM = Family(_ADAM_LR, eps=_by_role(-1, -1, -1, -1), eps_power=1)

FAMILIES: dict[str, Family] = {
    "sgd": Family(_by_role(1, 0, 1, 1), eps=_NONE, step_power=1),
    "adamw": _ADAM,
    "adabelief": _ADAM,
    # With the size of its step relative to the tensor's own turned off (`trainers.optimizers`),
    # what remains is Adam's step, its second moment factored and its RMS at most 1.
    "adafactor": _ADAM,
    "lion": Family(_ADAM_LR, eps=_NONE),
    "muon": Family(_by_role(0.5, 0, 0.5, 0), eps=_NONE),
    "muon-rms": Family(_by_role(0, -0.5, 0, 0), eps=_NONE),
    "shampoo": Family(_by_role(0.5, 0, 0.5, 0.5), eps=_by_role(-1, 0, -1, -1), eps_power=2),
    "soap": _ADAM,
    "soap-spectral": Family(_by_role(0.5, 0, 0.5, 0), eps=_by_role(-0.5, 0, -0.5, -1), eps_power=1),
}
"""The rules by optimizer. "muon" multiplies its step by √max(1, n_out/n_in), "muon-rms" by
0.2·√max(n_in, n_out); Shampoo's exponents are ¼ a side; SOAP leaves vectors to Adam."""

INIT_POWERS: dict[Role, float] = _by_role(0, -0.5, 0, 0)
"""Powers of r_n on the standard deviation at the base shape."""
FORWARD_POWERS: dict[Role, float] = _by_role(0, 0, -1, 0)
"""Powers of r_n on the forward multiplier."""
BRANCH_POWERS: dict[str, float] = {"depth-mup": 0.5, "u-mup": 0.5, "complete-p": 1.0}
"""α: residual branches are multiplied by r_L^-α. Schemes that are not here leave depth alone."""

RULE_OPTIONS: dict[str, SettingRule] = {
    "hidden_decay": SettingRule(
        "choice",
        "λ of hidden matrices against width",
        "linear",
        choices=("linear", "sqrt", "constant"),
    ),
    "embedding_lr": SettingRule(
        "choice",
        "learning rate of embeddings against width",
        "constant",
        choices=("constant", "sqrt"),
    ),
    "soap_rules": SettingRule(
        "choice",
        "whether soap follows width as adam or as muon",
        "adam",
        choices=("adam", "spectral"),
    ),
    "optimizer_rules": SettingRule(
        "choice",
        "whose rules an optimizer follows that has none of its own",
        "own",
        choices=("own", *FAMILIES),
    ),
}
"""What `parametrization_options` may hold: where sources disagree."""

_HIDDEN_DECAY_POWERS = {"linear": 1.0, "sqrt": 0.5, "constant": 0.0}


@dataclass(frozen=True)
class RuleOptions:
    """The choices of RULE_OPTIONS, as a value; `rule_options` checks them."""

    hidden_decay: str = "linear"
    """λ of hidden matrices by r_n to the power that holds η·λ ("linear" in r_n under AdamW:
    microsoft/mup, CompleteP), to half of it ("sqrt": arXiv 2510.15262), or not at all ("constant":
    arXiv 2512.05620, at 20 tokens a parameter)."""
    embedding_lr: str = "constant"
    """"constant" (muP), or by width^-1/2 ("sqrt": u-muP), under which an embedding moves less, the
    wider the model."""
    soap_rules: str = "adam"
    """"spectral" is the sources' rule, for gradients whose rank is far below the width. Measured
    here with GPTs of widths 32 to 128, whose gradients have full rank, SOAP's best rate fell by
    half with each doubling under it, and stayed where it was under "adam"."""
    optimizer_rules: str = "own"


def rule_options(given: Mapping[str, Value]) -> RuleOptions:
    """Return `given` checked; TrainerError for an unknown name or choice, with what is right."""
    values = complete(RULE_OPTIONS, given, "parametrization option")
    return RuleOptions(**{name: str(value) for name, value in values.items()})


def family_of(optimizer: str, options: RuleOptions) -> Family:
    """Return the rules that `optimizer` follows.

    Raises TrainerError where no rule is known and the options do not say whose to use.
    """
    if optimizer == "soap" and options.soap_rules == "spectral":
        return FAMILIES["soap-spectral"]
    for name in (optimizer, options.optimizer_rules):
        if name in FAMILIES:
            return FAMILIES[name]
    raise TrainerError(
        f"how the learning rate of optimizer {optimizer!r} goes with size is not known; use "
        "parametrization sp, or say by parametrization_options: {optimizer_rules: …} whose rules "
        f"it is to follow (there are: {', '.join(FAMILIES)})"
    )


def check_scheme(scheme: str, optimizer: str, options: RuleOptions) -> None:
    """Raise TrainerError for an unknown scheme, or one without rules for `optimizer`."""
    if scheme not in SCHEMES:
        raise unknown("parametrization", scheme, SCHEMES)
    if scheme != "sp":
        family_of(optimizer, options)


def rules(
    scheme: str, optimizer: str, tag: Tag, base_tag: Tag, options: RuleOptions | None = None
) -> Rule:
    """Return the rule for one tensor.

    Parameters
    ----------
    scheme : one of SCHEMES
    optimizer : the optimizer that trains the tensor, by name; those of FAMILIES have rules
    tag, base_tag : of the tensor, and of its counterpart at the base shape. Where they are equal,
        every scheme is "sp" exactly, but for "u-mup": that has no base and does not look at it.

    Raises
    ------
    TrainerError
        For an unknown scheme, and for an optimizer without rules, unless the scheme is "sp".
    """
    options = options or RuleOptions()
    check_scheme(scheme, optimizer, options)
    if scheme == "sp":
        return Rule(tag.standard_std, 1.0, 1.0, 1.0, 1.0)
    family = family_of(optimizer, options)
    unit = scheme == "u-mup"
    if unit:
        base_tag = _unit_base(tag)
    role = tag.role
    width = _growing(tag) / _growing(base_tag)
    depth = tag.blocks / base_tag.blocks if tag.blocks else 1.0

    forward = width ** FORWARD_POWERS[role]
    rate_by_width = width ** family.lr[role]
    eps = width ** family.eps[role]
    rate = 1.0
    if tag.is_table and options.embedding_lr == "sqrt":
        rate *= width**-0.5
    if unit and role == "input" and not tag.is_table:
        # Absolute fan-in: as of a hidden matrix, whose fan-in counts beside its fan-out.
        rate *= tag.fans.fan_in ** (family.lr["hidden"] - family.lr["input"])
        eps *= tag.fans.fan_in ** (family.eps["hidden"] - family.eps["input"])
    if scheme in BRANCH_POWERS:
        alpha = BRANCH_POWERS[scheme]
        rate *= depth ** (alpha * (1 + family.step_power) - 1)
        eps *= depth ** (-alpha * family.eps_power)
        if tag.closes_branch:
            forward *= depth**-alpha
    decay_power = _HIDDEN_DECAY_POWERS[options.hidden_decay] if role == "hidden" else 1.0
    rule = Rule(
        init_std=base_tag.standard_std * width ** INIT_POWERS[role],
        forward_multiplier=forward,
        lr_multiplier=rate * rate_by_width,
        weight_decay_multiplier=1 / (rate * rate_by_width**decay_power),
        eps_multiplier=eps,
    )
    return rescaled(rule, family, 1 / rule.init_std) if unit and rule.init_std else rule


def _growing(tag: Tag) -> int:
    """Return the fan whose growth is the width's."""
    return tag.fans.fan_in if tag.role in ("hidden", "output") else tag.fans.fan_out


def _unit_base(tag: Tag) -> Tag:
    """Return `tag` at width and depth 1, where every matrix starts with its gain as variance."""
    if tag.role == "hidden":
        std = tag.standard_std * tag.fans.fan_in**0.5
    else:
        std = 1.0 if tag.role == "output" else tag.std
    return replace(tag, fans=Fans(1, 1), blocks=min(tag.blocks, 1), std=std)


def rescaled(rule: Rule, family: Family, theta: float) -> Rule:
    """Return the rule that trains the same model with θ times the weights (the abc-symmetry).

    (multiplier m, standard deviation s, rate η) and (m/θ, θ·s, θ·η) give the same trajectory under
    Adam with ε = 0; for SGD the third is θ²·η. η·λ stays; ε goes with the gradient, which is
    divided by θ.
    """
    rate = theta ** (1 + family.step_power)
    return Rule(
        init_std=rule.init_std * theta,
        forward_multiplier=rule.forward_multiplier / theta,
        lr_multiplier=rule.lr_multiplier * rate,
        weight_decay_multiplier=rule.weight_decay_multiplier / rate,
        eps_multiplier=rule.eps_multiplier / theta**family.eps_power,
    )


def folded(rule: Rule, optimizer: str, options: RuleOptions | None = None) -> Rule:
    """Return the rule with forward multiplier 1 that trains the same model.

    What a vector starts at is not in its rule: it must be multiplied by the forward multiplier.
    """
    if rule.forward_multiplier == 1.0:
        return rule
    family = family_of(optimizer, options or RuleOptions())
    return replace(rescaled(rule, family, rule.forward_multiplier), forward_multiplier=1.0)
