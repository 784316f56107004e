"""Copies of a trainer's state that training on does not alter, and that any machine can read."""

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def on_cpu(tree: Any) -> Any:
    """Return a copy of nested mappings, lists, tuples and values, its tensors on the CPU.

    A state that was pickled with tensors of a GPU could not be read where there is none.
    """
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, Mapping):
        return {key: on_cpu(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(on_cpu(value) for value in tree)
    return copy.deepcopy(tree)
