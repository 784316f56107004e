"""The answer to "which setting should the target have?": small frozen values, no computation."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA_VERSION = 1
UNITS = {"lr": "peak", "batch_tokens": "tokens a step"}


@dataclass(frozen=True)
class Interval:
    """A best estimate and the ends of its interval, in the quantity's own unit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Target:
    """The scale that is asked for: non-embedding parameters, tokens, and 6·N·D FLOPs.

    Width and depth are None where the law that answers does not stand on them.
    """

    params: float
    tokens: float
    flops: float
    width: float | None = None
    depth: float | None = None

    @property
    def shape(self) -> dict[str, float]:
        """Width and depth, as far as they are known."""
        shape = {"width": self.width, "depth": self.depth}
        return {axis: value for axis, value in shape.items() if value is not None}


@dataclass(frozen=True)
class Extrapolation:
    """How many times the target exceeds the largest measured run, on each axis of scale.

    Of width and depth None where the law does not stand on them.
    """

    params: float
    tokens: float
    flops: float
    width: float | None = None
    depth: float | None = None


@dataclass(frozen=True)
class Regret:
    """What using the predicted optimum is expected to cost, in % of the target's best loss."""

    expected: float
    p90: float


@dataclass(frozen=True)
class LawSummary:
    """Which law answered, and on how many runs of how many scales it stands."""

    name: str
    runs: int
    scales: int


@dataclass(frozen=True)
class Prediction:
    """The predicted optimum of one target, with everything a reader needs to trust it or not.

    Attributes
    ----------
    target : the scale that was asked for.
    optimum : an interval for each hyperparameter that the runs could place, by column name.
    loss : nats a token, at the optimum.
    regret_pct : the loss that the prediction's own error is expected to cost, in %.
    extrapolation : ratios of the target to the largest measured scale.
    law : the law that answered.
    level : coverage of the intervals, 0.9 unless asked otherwise.
    warnings : sentences, the most important first.
    notes : what was asked for beyond the optimum, and what it costs.
    """

    target: Target
    optimum: dict[str, Interval]
    loss: Interval
    regret_pct: Regret
    extrapolation: Extrapolation
    law: LawSummary
    level: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as plain data, in the schema that `predict --json` prints."""

        def interval(value: Interval) -> dict[str, float]:
            return {"value": value.value, "low": value.low, "high": value.high}

        return {
            "schema_version": SCHEMA_VERSION,
            "target": _known(self.target),
            "optimum": {name: interval(value) for name, value in self.optimum.items()},
            "loss": interval(self.loss),
            "regret_pct": {"expected": self.regret_pct.expected, "p90": self.regret_pct.p90},
            "extrapolation": _known(self.extrapolation),
            "law": {"name": self.law.name, "runs": self.law.runs, "scales": self.law.scales},
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (quantity, best estimate, interval) as text: what every table of it shows."""
        rows = [
            (
                f"{name} ({UNITS[name]})" if name in UNITS else name,
                format_setting(name, value.value),
                f"{format_setting(name, value.low)} – {format_setting(name, value.high)}",
            )
            for name, value in self.optimum.items()
        ]
        rows.append(
            (
                "loss (nats a token)",
                f"{self.loss.value:.4f}",
                f"{self.loss.low:.4f} – {self.loss.high:.4f}",
            )
        )
        rows.append(
            (
                "expected regret",
                f"{self.regret_pct.expected:.2g} %",
                f"≤ {self.regret_pct.p90:.2g} % in 9 of 10",
            )
        )
        return rows

    @property
    def title(self) -> str:
        """One line that names the target and how far it lies from what was measured."""
        shape = "".join(f", {axis} {value:.4g}" for axis, value in self.target.shape.items())
        return (
            f"Optimum at N = {self.target.params:.4g}, D = {self.target.tokens:.4g}{shape} "
            f"({self.extrapolation.flops:.3g}× the compute measured)"
        )

    def __rich__(self) -> Table:
        """Render as a table in a terminal."""
        from rich.table import Table

        table = Table(title=self.title, title_justify="left", title_style="bold")
        table.add_column("")
        table.add_column("best estimate", justify="right")
        table.add_column(f"{self.level:.0%} interval", justify="right")
        for row in self.rows():
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        said = (*self.notes, *self.warnings)
        notes = "".join(f"<li>{html.escape(text)}</li>" for text in said)
        return (
            f"<table><caption>{html.escape(self.title)}</caption>"
            f"<thead><tr><th></th><th>best estimate</th><th>{self.level:.0%} interval</th></tr>"
            f"</thead><tbody>{body}</tbody></table>" + (f"<ul>{notes}</ul>" if notes else "")
        )


def _known(scale: Target | Extrapolation) -> dict[str, float]:
    return {axis: value for axis, value in asdict(scale).items() if value is not None}


def format_setting(name: str, value: float) -> str:
    """Write a hyperparameter as people write it: a batch as a whole number, a rate to 3 digits."""
    return f"{value:,.0f}" if name.endswith("tokens") else f"{value:.3g}"
