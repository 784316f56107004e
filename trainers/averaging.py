"""Averages of weights: over the steps of one run, and over runs (soups)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from trainers.errors import TrainerError

Weights = Mapping[str, Tensor]
"""Tensors by name, such as a module's parameters."""


class AveragedWeights:
    """An exponential average of the weights of one run, rid of the bias of its start.

    After steps 1 … t with one half-life it is Σ 2^-((t-i)/half-life)·wᵢ, divided by the sum of
    these factors: the first step's weights by themselves, and never the initial ones.
    """

    def __init__(self) -> None:
        """Average nothing yet."""
        self.weights: dict[str, Tensor] = {}
        self._mass = 0.0

    @torch.no_grad()
    def update(self, weights: Weights, steps: float, half_life: float) -> None:
        """Take in the weights after a step.

        Parameters
        ----------
        weights : as they are now; they are copied. What is left out is averaged no further.
        steps : for how many the step counts.
        half_life : steps after which weights count for half; may differ from step to step.
        """
        kept = 0.5 ** (steps / half_life)
        self._mass = kept * self._mass + 1 - kept
        if not self.weights:
            self.weights = {name: weight.detach().clone() for name, weight in weights.items()}
            return
        ours = [weight for name, weight in self.weights.items() if name in weights]
        theirs = [weights[name].detach() for name in self.weights if name in weights]
        torch._foreach_lerp_(ours, theirs, (1 - kept) / self._mass)

    def clear(self) -> None:
        """Forget all; the next weights begin another average."""
        self.weights, self._mass = {}, 0.0

    def state_dict(self) -> dict[str, object]:
        """Return what there is, not a copy of it."""
        return {"weights": self.weights, "mass": self._mass}

    def load_state_dict(self, state: Mapping[str, object], device: torch.device) -> None:
        """Go on from a snapshot."""
        weights = cast(Weights, state["weights"])
        self.weights = {name: weight.to(device, copy=True) for name, weight in weights.items()}
        self._mass = cast(float, state["mass"])


def judged_weights(state: Mapping[str, object]) -> dict[str, Tensor]:
    """Return what a run of hyperlaw's own loop was judged by: its averaged weights, or its last.

    Buffers, such as batch norm's statistics, are averaged with the weights. Raises TrainerError for
    the state of another trainer.
    """
    if not isinstance(model := state.get("model"), Mapping):
        raise TrainerError("no state of hyperlaw's own loop: it has no model's weights")
    average = cast(Mapping[str, Any], state.get("average", {}))
    return {**model, **average.get("weights", {})}


def uniform_soup(members: Sequence[Weights]) -> dict[str, Tensor]:
    """Return the mean of the members' weights (Wortsman et al., arXiv 2203.05482; second-hand).

    Sums are taken in double precision. A tensor of whole numbers, such as a counter, is that of
    the first member. Raises TrainerError where members differ in names or shapes, or are none.
    """
    if not members:
        raise TrainerError("a soup of no weights; it needs one member at least")
    first = members[0]
    for number, member in enumerate(members[1:], start=1):
        _check_alike(first, member, number)
    soup = {}
    for name, weight in first.items():
        if not weight.is_floating_point():
            soup[name] = weight.clone()
            continue
        mean = torch.stack([member[name].double() for member in members]).mean(0)
        soup[name] = mean.to(weight.dtype)
    return soup


def greedy_soup(
    members: Sequence[Weights], loss: Callable[[Weights], float]
) -> tuple[dict[str, Tensor], list[int]]:
    """Return the greedy soup (Wortsman et al., arXiv 2203.05482) and who is in it.

    Members are tried from the best on, each taken where the mean with it has a lower loss than the
    mean without it, as in the authors' mlfoundations/model-soups, main.py. (The paper's wording was
    not checked.) So on the data of `loss` the soup is never worse than its best member.

    Parameters
    ----------
    members : weights of one shape.
    loss : of weights, on held-out data; one that is not a number is worse than all others.

    Returns
    -------
    (weights, indices) : of the soup, and of the members taken, in the order in which they were.
    """

    def judged(weights: Weights) -> float:
        found = loss(weights)
        return math.inf if math.isnan(found) else found

    own = [judged(uniform_soup([member])) for member in members]
    order = sorted(range(len(members)), key=own.__getitem__)
    if not order:
        return uniform_soup([]), []
    taken, best = order[:1], own[order[0]]
    for index in order[1:]:
        tried = judged(uniform_soup([members[i] for i in (*taken, index)]))
        if tried < best:
            taken.append(index)
            best = tried
    return uniform_soup([members[i] for i in taken]), taken


def _check_alike(first: Weights, other: Weights, number: int) -> None:
    if first.keys() != other.keys():
        name = sorted(first.keys() ^ other.keys())[0]
        raise TrainerError(f"member {number} of the soup differs: {name} is not in both")
    for name, weight in first.items():
        if weight.shape != other[name].shape:
            raise TrainerError(
                f"member {number} of the soup differs: {name} is {tuple(other[name].shape)}, not "
                f"{tuple(weight.shape)}; a soup is of one shape"
            )
