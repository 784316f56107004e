"""More runs for a sweep that is under way or done: the same file with a larger `runs`.

What was run stays as it is, as a plan is the beginning of any longer one, and a search goes on from
what it has seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from hpo.errors import SpecError
from hpo.schema import SweepSpec
from hpo.spec import changed_keys, check_spec, stored_spec
from hpo.yaml_lines import parse_yaml

_NOT_LONGER: Mapping[str, str] = {
    "listed": "its runs are the points of its file; list further ones in a new sweep",
    "population": "its members train together from the start; make a new sweep",
    "law-guided": "its budget of FLOPs ends it, not a number of runs; make a new sweep",
}
_RUNS = "runs"
_RUNS_LINE = re.compile(r"(\s*['\"]?runs['\"]?\s*:\s*)[^\s#,}]+(.*)", re.DOTALL)


def check_extendable(spec: SweepSpec) -> None:
    """Raise SpecError where a sweep can have no more runs, with the reason."""
    reason = _NOT_LONGER.get(spec.search.method)
    if reason is None and spec.runs is None:
        reason = "its file names no number of runs: all of its grid are planned"
    if reason is not None:
        raise SpecError(f"{_RUNS}: sweep {spec.name!r} cannot be extended: {reason}")


def is_longer(before: str, after: SweepSpec) -> bool:
    """Say whether a sweep is that of the text `before`, but for more runs.

    Raises
    ------
    SpecError
        Where `before` is not the text of a sweep.
    """
    n_before = stored_spec(before).runs
    if n_before is None or after.runs is None or after.runs <= n_before:
        return False
    return not changed_keys(before, after.model_copy(update={_RUNS: n_before}))


def extended(text: str, n_more: int) -> tuple[str, SweepSpec]:
    """Return the text of a sweep with more runs, its comments kept, and what it says.

    Raises
    ------
    SpecError
        Where the sweep can have no more runs, or not so many.
    """
    before = stored_spec(text)
    check_extendable(before)
    assert before.runs is not None
    spec = before.model_copy(update={_RUNS: before.runs + n_more})
    check_spec(spec)
    longer = _with_runs(text, before.runs + n_more)
    return longer, spec


def _with_runs(text: str, runs: int) -> str:
    document = parse_yaml(text)
    lines = text.splitlines(keepends=True)
    index = document.line((_RUNS,)) - 1
    match = _RUNS_LINE.fullmatch(lines[index])
    if match is not None:
        lines[index] = f"{match[1]}{runs}{match[2]}"
        return "".join(lines)
    # All on one line, or written in some other way that is not worth keeping.
    assert isinstance(document.data, dict)
    return yaml.safe_dump({**document.data, _RUNS: runs}, sort_keys=False)
