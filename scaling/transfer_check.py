"""A transfer check as a whole: what was checked, what was measured, and whether it passed.

Its two parts are the coordinate check (`scaling.coordinate_slopes`), which takes a few optimizer
steps, and the basin check (`scaling.basin_check`), which takes whole runs; either may be absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final

import pandas as pd

from scaling.basin_check import BasinCheck
from scaling.coordinate_slopes import CHANGES, LOG_RMS, LayerSlope, coordinate_slopes
from scaling.errors import LawError

DOCUMENT_VERSION: Final = 1
Value = float | int | str


@dataclass(frozen=True)
class Subject:
    """What a check is true of: other sizes, rates, seeds and data do not change it.

    Attributes
    ----------
    trainer : a built-in kind, or a user's "module:Class".
    parametrization, optimizer : the scheme, and whose rules of it were used.
    model : all model options, defaults included.
    options : of the parametrization, as far as they are given.
    """

    trainer: str
    parametrization: str
    optimizer: str
    model: Mapping[str, Value] = field(default_factory=dict)
    options: Mapping[str, Value] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """In words: "gpt under mup with adamw"."""
        return f"{self.trainer} under {self.parametrization} with {self.optimizer}"


@dataclass(frozen=True)
class TransferCheck:
    """One check of one subject.

    Attributes
    ----------
    name : under which it is kept.
    subject : what was checked.
    setting : the hyperparameters of the coordinate check, lr among them.
    data : what was trained on.
    judged_axes : the axes over which features must move alike.
    changes : the coordinate check's measurements, see `scaling.coordinate_slopes`; may be empty.
    basins : the basin checks; may be empty.
    created : when it was kept, ISO 8601 in UTC; empty before.
    """

    name: str
    subject: Subject
    setting: Mapping[str, Value]
    data: str
    judged_axes: tuple[str, ...]
    changes: pd.DataFrame
    basins: tuple[BasinCheck, ...] = ()
    created: str = ""

    @cached_property
    def slopes(self) -> tuple[LayerSlope, ...]:
        """The slope of each layer, the worst of those that are judged first."""
        return coordinate_slopes(self.changes, self.judged_axes)

    @property
    def coordinate_holds(self) -> bool | None:
        """Whether every judged layer moves alike at every size; None where none is judged."""
        judged = [one.holds for one in self.slopes if one.judged]
        return all(judged) if judged else None

    @property
    def passed(self) -> bool | None:
        """Whether both parts passed; None where no part failed and one cannot tell."""
        parts = [*(check.holds for check in self.basins)]
        if not self.changes.empty or not parts:
            parts.append(self.coordinate_holds)
        if False in parts:
            return False
        return None if None in parts else True

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain data that `from_dict` takes back and JSON can hold."""
        rms = [None if math.isnan(value) else round(value, 5) for value in self.changes[LOG_RMS]]
        return {
            "schema_version": DOCUMENT_VERSION,
            "name": self.name,
            "subject": asdict(self.subject),
            "setting": dict(self.setting),
            "data": self.data,
            "judged_axes": list(self.judged_axes),
            "changes": {**self.changes[list(CHANGES)].to_dict(orient="list"), LOG_RMS: rms},
            "basins": [check.to_dict() for check in self.basins],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, created: str = "") -> TransferCheck:
        """Rebuild a check from `to_dict`; LawError where the document is of another version."""
        if (version := document.get("schema_version")) != DOCUMENT_VERSION:
            raise LawError(
                f"this check was written as version {version!r}; this hyperlaw reads version "
                f"{DOCUMENT_VERSION}: run it again"
            )
        changes = pd.DataFrame(document["changes"], columns=list(CHANGES))
        return cls(
            name=document["name"],
            subject=Subject(**document["subject"]),
            setting=document["setting"],
            data=document["data"],
            judged_axes=tuple(document["judged_axes"]),
            changes=changes.astype({LOG_RMS: float}),
            basins=tuple(BasinCheck.from_dict(basin) for basin in document["basins"]),
            created=created,
        )
