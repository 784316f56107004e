"""Loss and gradient of several runs at once, as a graph of batched operations.

A loss is written for one model. Here it is vectorised over stacked weights (`torch.vmap`),
differentiated, and recorded once as a flat list of operations (`make_fx`), which is then replayed
at every step: neither vmap nor autograd runs again. Measured on one core with a GPT of width 32 and
16 runs of 128 tokens a step, vmap and autograd made 2.0 times as many steps a second as one run at
a time, replaying makes 2.5 times as many.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

from trainers.errors import TrainerError
from trainers.task import Batch

Stacked = Mapping[str, Tensor]
"""The weights of several runs by name, dimension 0 the run."""
LossOfOne = Callable[[Stacked, Batch], Tensor]
"""(weights of one run, its batch) → scalar."""
Graph = Callable[[Stacked, Batch], tuple[Tensor, list[Tensor]]]
"""(stacked weights, stacked batch) → losses (runs,) and the gradient of each, in the weights'
order."""


def trace(loss: LossOfOne, weights: Stacked, batch: Batch) -> Graph:
    """Return the graph of the losses and gradients of all runs, for inputs of these shapes.

    Parameters
    ----------
    loss : of one run.
    weights : (runs, …) each.
    batch : (runs, samples, …) each.

    Raises
    ------
    TrainerError
        Where the loss cannot be vectorised, as one that draws random numbers, changes buffers of
        its model, or decides by the values of tensors; and where a weight gets no gradient, which
        an optimizer that steps a run alone would leave alone.
    """
    names = list(weights)
    shapes = [part.shape for part in batch]

    def to_record(values: Sequence[Tensor], batch: Batch) -> tuple[Tensor, list[Tensor]]:
        return losses_and_gradients(loss, dict(zip(names, values, strict=True)), batch)

    recorded = make_fx(to_record)(list(weights.values()), batch)

    def graph(weights: Stacked, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        if shapes != [part.shape for part in batch]:
            raise TrainerError(
                "the samples of a step are of other shapes than those of an earlier one, so runs "
                "must be trained one at a time"
            )
        with torch.no_grad():
            return cast(
                tuple[Tensor, list[Tensor]], recorded([weights[name] for name in names], batch)
            )

    return graph


def losses_and_gradients(
    loss: LossOfOne, weights: Stacked, batch: Batch
) -> tuple[Tensor, list[Tensor]]:
    """Compute what `trace` records, with the same errors."""
    leaves = {name: value.detach().requires_grad_() for name, value in weights.items()}
    with torch.enable_grad():
        losses = batched_losses(loss, leaves, batch)
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
    return losses.detach(), _reached(list(leaves), gradients)


def batched_losses(loss: LossOfOne, weights: Stacked, batch: Batch) -> Tensor:
    """Return the loss of each run on its own batch, (runs,); see `trace`."""
    try:
        with _BatchedAttention():
            return torch.vmap(loss)(dict(weights), batch)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        raise TrainerError(
            "the loss cannot be computed for several runs at once, so they must be trained one at "
            f"a time: {str(error).splitlines()[0]}"
        ) from error


def _reached(names: Sequence[str], gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the gradients, all of which must be there."""
    found = []
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None:
            raise TrainerError(
                f"the loss does not depend on parameter {name!r}; runs are fused only where it "
                "depends on all"
            )
        found.append(gradient)
    return found


class _BatchedAttention(TorchFunctionMode):
    """Gives attention a rule for vmap; without one it is a loop over the runs on a CPU."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        options = options or {}
        no_mask = len(arguments) == 3 and options.get("attn_mask") is None
        if function is F.scaled_dot_product_attention and no_mask:
            return cast(Any, _Attention).apply(*arguments, options)
        return function(*arguments, **options)


class _Attention(torch.autograd.Function):
    """Attention without a mask of its own; under vmap the runs are further samples."""

    @staticmethod
    def forward(query: Tensor, key: Tensor, value: Tensor, options: Mapping[str, Any]) -> Tensor:
        """Attend where nothing is vectorised, as where no weight comes before attention."""
        return F.scaled_dot_product_attention(query, key, value, **options)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing: what no weight comes before needs no gradient."""

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        query: Tensor,
        key: Tensor,
        value: Tensor,
        options: Mapping[str, Any],
    ) -> tuple[Tensor, int]:
        """Attend in all runs at once; see "Extending torch.func" in PyTorch's documentation."""

        def as_samples(heads: Tensor, run_dim: int | None) -> Tensor:
            if run_dim is None:
                return heads.expand(info.batch_size, *heads.shape).flatten(0, 1)
            return heads.movedim(run_dim, 0).flatten(0, 1)

        attended = F.scaled_dot_product_attention(
            as_samples(query, in_dims[0]),
            as_samples(key, in_dims[1]),
            as_samples(value, in_dims[2]),
            **options,
        )
        return torch.unflatten(attended, 0, (info.batch_size, -1)), 0
