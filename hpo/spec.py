"""The sweep file: from YAML text to a checked `SweepSpec`, or to one line that says what is wrong.

Every error is a `SpecError` of the form ``FILE:LINE: key.path: what is wrong; what would be
right``. What a file may hold is in `hpo.schema`; what is held against the trainer in `hpo.checks`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TypeGuard, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hpo.checks import find_problems
from hpo.errors import SpecError
from hpo.fields import show
from hpo.problems import Problem
from hpo.schema import CommandKeys, SweepSpec
from hpo.search_keys import METHODS, keys_of
from hpo.yaml_lines import Document, KeyPath, YamlError, parse_yaml

__all__ = ["SpecError", "SweepSpec", "check_spec", "load_spec", "parse_spec"]


_UNKNOWN_KEYS, _MISSING_KEY = ("extra_forbidden", "unexpected_keyword_argument"), "missing"
_UNKNOWN_METHOD, _NO_METHOD = "union_tag_invalid", "union_tag_not_found"
_SEARCH, _TRAINER = "search", "trainer"


def load_spec(path: str | Path) -> SweepSpec:
    """Read and check a sweep file.

    Raises
    ------
    SpecError
        Where the file cannot be read or its sweep cannot be run.
    """
    return parse_spec(read_spec_text(path), str(path))


def read_spec_text(path: str | Path) -> str:
    """The text of a sweep file, as `hpo.runner.run_sweep` keeps it beside the runs."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not text in UTF-8; a sweep file is YAML") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(f"{path}: {reason}; name a sweep file that can be read") from error


def parse_spec(text: str, source: str = "sweep file") -> SweepSpec:
    """Parse and check the text of a sweep file; `source` is its name in errors.

    Raises
    ------
    SpecError
        One line on the first problem, with the number of further ones.
    """
    try:
        document = parse_yaml(text)
    except YamlError as error:
        hint = _quotes_hint(text.splitlines()[error.line - 1 : error.line])
        raise SpecError(f"{source}:{error.line}: {error.message}{hint}") from error
    if document.data is None:
        raise SpecError(f"{source}:1: the file is empty; a sweep begins with 'name: ...'")
    if not isinstance(document.data, dict):
        raise SpecError(
            f"{source}:1: {show(document.data)} where a mapping should be; "
            "a sweep is written 'key: value', beginning with 'name: ...'"
        )
    try:
        spec = SweepSpec.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        mistyped = {detail["loc"][:-1] for detail in details if detail["type"] in _UNKNOWN_KEYS}
        problems = [
            _as_problem(detail)
            for detail in details
            if detail["type"] != _MISSING_KEY or detail["loc"][:-1] not in mistyped
        ]
        raise _spec_error(problems, document, source) from error
    problems = find_problems(spec)
    if problems:
        raise _spec_error(problems, document, source)
    return spec


def check_spec(spec: SweepSpec) -> None:
    """Check a spec that was made in Python rather than read from a file.

    Raises
    ------
    SpecError
        One line on the first problem, with the number of further ones.
    """
    problems = find_problems(spec)
    if problems:
        first, more = problems[0], _more(problems)
        raise SpecError(f"{_dotted(first.path)}: {first.message}{more}")


def stored_spec(text: str) -> SweepSpec:
    """Return the sweep of a text that was checked before, as it was launched.

    Raises
    ------
    SpecError
        Where it is not the text of a sweep, as that of imported runs.
    """
    try:
        return SweepSpec.model_validate(parse_yaml(text).data)
    except (YamlError, ValidationError) as error:
        raise SpecError("not the text of a sweep") from error


def changed_keys(before: str, after: SweepSpec) -> list[str]:
    """What differs between the sweep of the text `before` and `after`: ``key: old, now new``.

    The resources are left out: a sweep may go on with others. The order of the settings under
    `space`, and of the sizes under `scales`, is held against it: settings are dealt by it.

    Raises
    ------
    SpecError
        Where `before` is not the text of a sweep.
    """
    spec = stored_spec(before)
    kept = {"resources"}
    values = _differences(spec.model_dump(exclude=kept), after.model_dump(exclude=kept), ())
    return [
        f"{_dotted(path)}: {_shown(old)}, now {_shown(new)}"
        for path, old, new in [*values, *_reordered(spec, after)]
    ]


def _reordered(before: SweepSpec, after: SweepSpec) -> Iterator[tuple[KeyPath, object, object]]:
    """The keys of mappings whose order a plan goes by, where it is another."""
    for was, now, key in zip(_ordered(before), _ordered(after), ("space", "scales"), strict=True):
        if set(was) == set(now) and was != now:
            yield (f"order of {key}",), was, now


def _ordered(spec: SweepSpec) -> tuple[list[str], list[str]]:
    return list(spec.space), [] if spec.scales is None else list(spec.scales.shape)


def _differences(
    before: object, after: object, path: KeyPath
) -> list[tuple[KeyPath, object, object]]:
    if _lists_mappings(before) and _lists_mappings(after):
        before, after = dict(enumerate(before)), dict(enumerate(after))
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[tuple[KeyPath, object, object]] = []
        for key in [*before, *(key for key in after if key not in before)]:
            found += _differences(before.get(key), after.get(key), (*path, key))
        return found
    return [] if before == after else [(path, before, after)]


def _lists_mappings(value: object) -> TypeGuard[tuple[Mapping[str, object], ...]]:
    return isinstance(value, tuple) and any(isinstance(item, Mapping) for item in value)


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, Mapping):
        given = ((key, item) for key, item in value.items() if item is not None)
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in given)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quotes_hint(lines: Sequence[str]) -> str:
    """What to say of a command in which YAML sees a mapping."""
    unquoted = any("command:" in line and "{" in line for line in lines)
    return "; a command with places such as {lr} in it stands in quotes" if unquoted else ""


def _spec_error(problems: Sequence[Problem], document: Document, source: str) -> SpecError:
    located = sorted(
        ((document.line(problem.path), problem) for problem in problems), key=lambda item: item[0]
    )
    line, first = located[0]
    path = _dotted(first.path)
    return SpecError(
        f"{source}:{line}: {path}{': ' if path else ''}{first.message}{_more(problems)}"
    )


def _more(problems: Sequence[Problem]) -> str:
    return f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""


def _dotted(path: KeyPath) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _as_problem(detail: ErrorDetails) -> Problem:
    """A problem in our words from one of pydantic's."""
    path = _without_tag(detail["loc"])
    if detail["type"] == _NO_METHOD:
        return Problem((*path, "method"), f"missing; there are: {', '.join(METHODS)}")
    if detail["type"] == _UNKNOWN_METHOD:
        named = detail["input"].get("method")
        near = get_close_matches(str(named), METHODS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        message = f"{show(named)} is not a method; {hint}there are: {', '.join(METHODS)}"
        return Problem((*path, "method"), message)
    if detail["type"] in _UNKNOWN_KEYS:
        known = _keys_at(detail["loc"][:-1])
        near = get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return Problem(path, f"unknown key; {hint}(keys here: {', '.join(known)})")
    if detail["type"] == _MISSING_KEY:
        return Problem(path, "missing; this key must be given")
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return Problem(path, f"{show(detail['input'])} where a mapping 'key: value' should be")
    if detail["type"] == "too_short":
        what = "run" if path[-1] == "points" else "setting to search"
        return Problem(path, f"empty; name at least one {what}")
    if detail["type"] == "tuple_type":
        return Problem(path, f"{show(detail['input'])} where a list should be")
    return Problem(path, detail["msg"])


def _without_tag(path: KeyPath) -> KeyPath:
    """The keys of the file: pydantic names the form after `trainer`, the method after `search`."""
    if path[:1] == (_TRAINER,):
        return (_TRAINER, *path[2:])
    return (_SEARCH, *path[2:]) if len(path) > 2 and path[0] == _SEARCH else path


def _keys_at(path: Sequence[str | int]) -> list[str]:
    """The keys that there are at `path` of the sweep file."""
    if path[:1] == (_TRAINER,):
        return [field.name for field in dataclasses.fields(CommandKeys)]
    model: type[BaseModel] = SweepSpec
    for key in path:
        if model is SweepSpec and key == _SEARCH and len(path) > 1:
            model = keys_of(str(path[1]))
            continue
        field = model.model_fields.get(str(key))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return list(model.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
