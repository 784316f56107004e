"""How every figure looks: colours, plotly templates, log axes, and numbers as people write them.

Colours were chosen to stay apart for readers who are red- or green-blind (five sizes and the accent
differ by 20 CIELAB units or more as such readers see them, by the matrices of Machado et al. 2009),
and to stand out by 2.5 to 1 or more on a white and on a dark page alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

Scheme = Literal["light", "dark"]
Kind = Literal["rate", "count", "loss", "flops"]

SIZE_SCALE = ("#3a55c8", "#1a8bb0", "#6fa58a", "#d09800")
"""From the smallest size to the largest: always lighter and warmer."""
ACCENT = "#c8322a"
"""What is predicted."""
NEUTRAL = "#868c96"
"""What is only for comparison."""
DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
BILLIONS = {f"{i * 10**k}G": f"{i * 10**k}B" for k in range(3) for i in range(1, 10)}
"""Labels of log axes that plotly would write as SI prefixes: models are counted in billions."""
TICKS: dict[Kind, dict[str, Any]] = {
    "rate": {"tickformat": ".1~e"},
    "count": {"tickformat": "~s", "labelalias": BILLIONS},
    "loss": {"tickformat": "~g"},
    "flops": {"tickformat": ".1~e"},
}
PLOTLY_CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
    "showSendToCloud": False,
    "plotlyServerURL": "",
}
"""How plotly.js behaves; unless it is told not to, it offers to upload a figure."""
TITLE_MARGIN = 56  # px
MAX_STEPS = 5  # evenly spaced ones, of a log axis too short for digits
MAX_NAMED = 6  # of a colour scale's values, in the legend
POINT_LIMIT = 50_000
"""Above this many points a scatter is drawn by WebGL, which is faster and not as sharp."""


def template(scheme: Scheme = "light") -> go.layout.Template:
    """Return the plotly template of a light or a dark page."""
    ink, faint, line, paper = {
        "light": ("#1f2430", "#5b6270", "#e3e6eb", "#ffffff"),
        "dark": ("#e6e8ec", "#a3a9b5", "#2c313b", "#15181e"),
    }[scheme]
    axis = {
        "gridcolor": line,
        "linecolor": faint,
        "tickcolor": faint,
        "ticks": "outside",
        "ticklen": 4,
        "showline": True,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 13, "color": ink}},
        "tickfont": {"size": 12, "color": faint},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink},
            "title": {"font": {"size": 15}, "x": 0, "xref": "paper", "xanchor": "left"},
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "colorway": list(SIZE_SCALE),
            "xaxis": axis,
            "yaxis": {**axis, "nticks": 8},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "font": {"size": 12},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": faint, "activecolor": ink},
            "hoverlabel": {"bgcolor": paper, "font": {"color": ink, "size": 12}, "align": "left"},
            "annotationdefaults": {"font": {"size": 12, "color": faint}, "showarrow": False},
            "margin": {"l": 8, "r": 16, "t": 18, "b": 8},
        }
    )


def figure(*, title: str = "", height: int = 420) -> go.Figure:
    """Return an empty figure in the house's style, on a light page."""
    drawn = go.Figure()
    drawn.update_layout(template=template("light"), height=height)
    if title:
        drawn.update_layout(title_text=title, margin_t=TITLE_MARGIN)
    return drawn


def size_colours(sizes: Iterable[float]) -> dict[float, str]:
    """Give each model size its colour, by rank: the same sizes get the same colours everywhere."""
    ordered = sorted({float(size) for size in sizes})
    steps = [i / max(len(ordered) - 1, 1) for i in range(len(ordered))]
    return dict(zip(ordered, sample_colorscale(list(SIZE_SCALE), steps), strict=True))


def named_in_legend(values: Iterable[float]) -> set[float]:
    """Choose which values of a colour scale the legend names: all, or a few from least to most."""
    ordered = sorted({float(value) for value in values})
    if len(ordered) <= MAX_NAMED:
        return set(ordered)
    step = (len(ordered) - 1) / (MAX_NAMED - 1)
    return {ordered[round(i * step)] for i in range(MAX_NAMED)}


def take_title(drawn: go.Figure) -> str:
    """Take a figure's title off it and return it, for a page that writes its own headings."""
    text = drawn.layout.title.text or ""
    drawn.update_layout(title=None, margin={"t": None})
    return str(text)


def faded(colour: str, opacity: float) -> str:
    """Return a "#rrggbb" colour with an opacity, as CSS writes it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def scatter(n_points: int) -> type[Any]:
    """Return the plotly trace that draws this many points well."""
    trace: type[Any] = go.Scattergl if n_points > POINT_LIMIT else go.Scatter
    return trace


def log_axis(title: str, values: Iterable[float], kind: Kind) -> dict[str, Any]:
    """Describe a log axis over `values` (positive; others are passed over), a little wider.

    Parameters
    ----------
    kind : "rate" writes 5e-4, "count" 2M or 1B, "loss" 2.5, "flops" 1e21.
    """
    kept = [float(value) for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = math.log10(min(kept)), math.log10(max(kept))
    pad = max(0.04 * (high - low), 0.03)
    first, last = low - pad, high + pad
    return {
        "type": "log",
        "title_text": title,
        "range": [first, last],
        "minorloglabels": "complete",
        **TICKS[kind],
        **_log_ticks(first, last, kind),
    }


def _log_ticks(first: float, last: float, kind: Kind) -> dict[str, Any]:
    """Return plotly's step: every digit (D1), 1, 2 and 5 (D2), or whole decades (1).

    Between two digits, where the axis would show one of these at most, ticks are evenly spaced (L).
    """
    decades = last - first
    if decades >= (1.0 if kind == "loss" else 0.7):
        return {"dtick": "D2" if decades < (1.2 if kind == "flops" else 2.5) else 1}
    powers = range(math.floor(first), math.ceil(last))
    digits = [k + math.log10(digit) for k in powers for digit in range(1, 11)]
    if sum(first <= digit <= last for digit in set(digits)) > 1:
        return {"dtick": "D1"}
    width = 10**last - 10**first
    power = 10.0 ** math.floor(math.log10(width / MAX_STEPS))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * MAX_STEPS >= width)
    fine = {"tickformat": ".2~e"} if kind in ("rate", "flops") else {}
    return {"dtick": f"L{step:.1g}", **fine}


def format_count(value: float) -> str:
    """Write a number of parameters or tokens in three digits.

    >>> format_count(98304), format_count(1.07e9), format_count(2e10)
    ('98.3k', '1.07B', '20B')
    """
    if not math.isfinite(value):
        return "–"
    for power, suffix in ((12, "T"), (9, "B"), (6, "M"), (3, "k"), (0, "")):
        scaled = value / 10**power
        if 0.9995 <= abs(scaled) < 999.5 or (power == 0 and abs(value) < 1):
            return f"{scaled:.3g}{suffix}"
    return format_rate(value)


def parse_count(
    text: str,
    what: str = "number of parameters or tokens",
    such_as: str = "7B, 350M or 7e9",
) -> float:
    """Read a positive number as people type it; ValueError says what would be right.

    Parameters
    ----------
    what, such_as : for the error: what the number is of, and how it may be written.

    >>> parse_count("7B"), parse_count("1.4e11"), parse_count("350 M")
    (7000000000.0, 140000000000.0, 350000000.0)
    """
    factors = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
    plain = text.strip().replace(",", "").lower()
    factor = factors.get(plain[-1:], 1.0)
    try:
        value = float(plain.rstrip("kmbgt")) * factor
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"'{text}' is no {what}; write {such_as}")
    return value


def format_rate(value: float) -> str:
    """Write a learning rate in three digits.

    >>> format_rate(0.00195), format_rate(0.02), format_rate(3.1e-05)
    ('1.95e-3', '2e-2', '3.1e-5')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0 or 0.0995 <= abs(value) < 1000:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def format_batch(value: float) -> str:
    """Write a batch that was measured: exactly, as it was typed.

    >>> format_batch(65536.0)
    '65,536'
    """
    return f"{value:,.0f}"


def format_flops(value: float) -> str:
    """Write training compute in three digits.

    >>> format_flops(5.88e21), format_flops(18119393280)
    ('5.88e21', '1.81e10')
    """
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def format_percent(value: float) -> str:
    """Write a percentage in two digits, never as a false zero.

    >>> format_percent(0.0886), format_percent(12.4), format_percent(0.0)
    ('0.089 %', '12 %', '0 %')
    """
    if not math.isfinite(value):
        return "–"
    return f"{float(f'{value:.2g}'):g} %"


def format_times(value: float) -> str:
    """Write a ratio as a multiple.

    >>> format_times(146.1), format_times(0.5), format_times(1.0), format_times(123456.0)
    ('146×', '0.5×', '1×', '123k×')
    """
    return f"{format_count(value)}×"


def format_setting(setting: str, value: float) -> str:
    """Write a predicted hyperparameter, a learning rate or a number of tokens, in three digits."""
    return format_count(value) if setting.endswith("tokens") else format_rate(value)


def listed(parts: Sequence[str]) -> str:
    """Join words as a sentence does.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
