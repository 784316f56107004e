"""The report's words and tables: numbers put as a person who trains models would say them."""

from __future__ import annotations

import math
import re
from collections.abc import Container
from dataclasses import asdict
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup, escape

from dashboards import theme
from scaling.backtest import HeldOut
from scaling.evidence import setting_name
from scaling.law import Law
from scaling.loss_laws.law import LossLaw
from scaling.prediction import Prediction
from scaling.published import PUBLISHED
from scaling.rules import Adjustment
from storage.columns import (
    BATCH_TOKENS,
    LR,
    PARAMS,
    STATUS,
    STATUSES,
    TOKENS,
    WARMUP_TOKENS,
)

SETTING_TITLES = {LR: "learning rate", BATCH_TOKENS: "batch"}
SETTING_UNITS = {LR: "peak", BATCH_TOKENS: "tokens a step", WARMUP_TOKENS: "tokens"}
TITLES = {
    "answer": "The answer",
    "best": "The best runs",
    "plan": "The next runs",
    "basins": "The basins",
    "slices": "Loss against each setting",
    "transfer": "Transfer across sizes",
    "checks": "Checks of transfer",
    "curves": "Learning curves",
    "law": "The law",
    "compute": "How to split compute",
    "held-out": "The held-out check",
    "published": "Published laws",
    "importance": "Which settings matter",
    "search": "How the search went",
    "rounds": "What each round brought",
    "population": "The population",
    "failures": "Runs that failed",
    "made": "How it was made",
    "next": "What to type next",
}
"""Of sections in the table of contents, by anchor, in the order of the page."""
ALWAYS = frozenset(("answer", "curves", "made", "next"))
OF_A_LAW = frozenset(("basins", "law", "held-out", "published"))
NEAR, FAR = 100.0, 1000.0  # times the compute of the largest run


def setting_title(column: str) -> str:
    """Return what a hyperparameter is called in headings."""
    return SETTING_TITLES.get(column, setting_name(column))


class Answer(NamedTuple):
    """One card of the headline."""

    label: str
    value: str
    interval: str


class Badge(NamedTuple):
    """How far the target lies beyond the runs, and how much to worry: "near", "far", "very-far"."""

    text: str
    tone: str


def answers(prediction: Prediction) -> list[Answer]:
    """Return the cards: each setting with its interval, the loss, the regret."""
    cards = [
        Answer(
            ", ".join(filter(None, [setting_title(name), SETTING_UNITS.get(name)])),
            theme.format_setting(name, value.value),
            f"{theme.format_setting(name, value.low)} – {theme.format_setting(name, value.high)}",
        )
        for name, value in prediction.optimum.items()
    ]
    loss, regret = prediction.loss, prediction.regret_pct
    return [
        *cards,
        Answer("loss, nats a token", f"{loss.value:.4f}", f"{loss.low:.4f} – {loss.high:.4f}"),
        Answer(
            "expected regret",
            theme.format_percent(regret.expected),
            f"at most {theme.format_percent(regret.p90)} in 9 of 10",
        ),
    ]


def extrapolation(prediction: Prediction) -> Badge:
    """Say how far the target lies beyond the largest run."""
    times = prediction.extrapolation
    if max(times.params, times.tokens, times.flops) <= 1:
        return Badge("within what was measured", "near")
    parts = [
        f"{theme.format_times(value)} the {what}"
        for value, what in (
            (times.params, "parameters"),
            (times.tokens, "tokens"),
            (times.flops, "compute"),
        )
    ]
    tone = "near" if times.flops <= NEAR else "far" if times.flops <= FAR else "very-far"
    return Badge(f"{theme.listed(parts)} of the largest run", tone)


def contents(sections: Container[str], *, has_law: bool) -> list[tuple[str, str]]:
    """Return the table of contents: anchors and titles, in the order of the page."""
    always = ALWAYS | OF_A_LAW if has_law else ALWAYS
    return [
        (anchor, title)
        for anchor, title in TITLES.items()
        if anchor in always or anchor in sections
    ]


def rule_sentence(rule: Adjustment) -> str:
    """Say what a rule gives, and where it comes from."""
    adjusted = asdict(rule)["values"]
    values = theme.listed(
        [f"{name} {theme.format_setting(name, value)}" for name, value in adjusted.items()]
    )
    second_hand = "" if rule.checked else ", quoted second-hand"
    return f"{values}, by the {rule.rule} ({rule.source}{second_hand})"


def status_counts(runs: pd.DataFrame) -> str:
    """Count the runs by how they ended: "96 runs: 90 completed and 6 diverged"."""
    if runs.empty:
        return "No run has ended yet"
    counts = runs[STATUS].value_counts()
    parts = [f"{counts[status]} {status}" for status in STATUSES if status in counts]
    return f"{len(runs)} run{'s' * (len(runs) != 1)}: {theme.listed(parts)}"


def held_out_sentence(check: HeldOut) -> str:
    """Say what the law's prediction cost on a size that it did not see."""
    wanted = theme.listed(
        [
            f"{setting_title(name)} {theme.format_setting(name, value)}"
            for name, value in check.optimum.items()
        ]
    )
    text = (
        f"For N = {theme.format_count(check.params)}, D = {theme.format_count(check.tokens)} "
        f"the law predicted {wanted}. The measured run nearest to that "
        + (
            f"is the best of {len(check.runs)} runs."
            if check.nearest_gap_pct == 0
            else f"has a loss {theme.format_percent(check.nearest_gap_pct)} above the best of "
            f"{len(check.runs)} runs."
        )
    )
    if pd.notna(check.quadratic_gap_pct):
        text += (
            " On a smooth surface through the best runs, the prediction costs "
            f"{theme.format_percent(check.quadratic_gap_pct)}."
        )
    return text


def scale_rows(scales: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return a row a scale: N, D, tokens a parameter, FLOPs, runs, diverged, best loss.

    `scales` is as `Law.scales` has it.
    """
    return [
        (
            theme.format_count(scale[PARAMS]),
            theme.format_count(scale[TOKENS]),
            f"{scale[TOKENS] / scale[PARAMS]:.3g}",
            theme.format_flops(scale["flops"]),
            str(scale["runs"]),
            str(scale["diverged"]),
            f"{scale['best_loss']:.4f}" if math.isfinite(scale["best_loss"]) else "–",
        )
        for scale in scales.to_dict(orient="records")
    ]


def term_rows(law: Law | LossLaw) -> list[tuple[str, ...]]:
    """Return a row a constant of the law: its name, value, interval and meaning."""
    return [
        (
            term["term"],
            _signed(term["value"]),
            f"{_signed(term['low'])} to {_signed(term['high'])}",
            term["meaning"],
        )
        for term in law.terms().to_dict(orient="records")
    ]


def _signed(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def comparison_rows(comparison: pd.DataFrame, law: Law) -> list[tuple[str, ...]]:
    """Return a row a law, best first: name, three gaps, formula and source.

    The gaps are the mean and the worst to the nearest run, and the mean on a smooth surface.
    """
    gaps = comparison.groupby("law", sort=False, as_index=False).agg(
        mean=("nearest_gap_pct", "mean"),
        worst=("nearest_gap_pct", "max"),
        smooth=("quadratic_gap_pct", "mean"),
    )
    order = "smooth" if comparison["quadratic_gap_pct"].notna().all() else "mean"
    return [
        (
            "this law" if row["law"] == law.name else row["law"],
            *(theme.format_percent(row[gap]) for gap in ("mean", "worst", "smooth")),
            *_formula_and_source(row["law"], law),
        )
        for row in gaps.sort_values(order, kind="stable").to_dict(orient="records")
    ]


def _formula_and_source(name: str, law: Law) -> tuple[str, str]:
    if name == law.name:
        return ", ".join(law.formula(setting) for setting in law.settings), "these runs"
    for published in PUBLISHED:
        if published.name == name:
            notes = (published.citation, str(published.range), published.conventions)
            return published.text, "; ".join(notes)
    return "one setting for all scales", "these runs"


def not_compared(comparison: pd.DataFrame) -> str:
    """Name the published laws that the comparison leaves out, with the reasons; may be empty."""
    left_out: dict[str, str] = comparison.attrs["not_scored"]
    return " ".join(f"{name} is not scored: {reason}." for name, reason in left_out.items())


def comparison_is_on_new_scales(comparison: pd.DataFrame, law: Law) -> bool:
    """Say whether none of the compared scales is one that the law was fitted to."""
    seen = law.scales[[PARAMS, TOKENS]]
    return comparison[[PARAMS, TOKENS]].merge(seen, on=[PARAMS, TOKENS]).empty


def formula_html(text: str) -> Markup:
    """Typeset a formula such as ``lr = 1.8·N^-0.71·D^0.31``: exponents raised.

    >>> str(formula_html("lr = 2·N^-0.7"))
    'lr = 2·N<sup>−0.7</sup>'
    """
    raised = re.sub(
        r"\^(\([^)]*\)|-?[\w.]+)",
        lambda match: f"<sup>{match[1].strip('()').replace('-', '−')}</sup>",
        str(escape(text)),
    )
    return Markup(raised)
