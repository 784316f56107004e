"""The report: one HTML file with the answer, the figures behind it, and what to do next.

    write_report("report.html", ReportContent(title="ladder", law=law, runs=runs))

The file holds everything, plotly.js included: it opens without a network, prints, and follows the
reader's light or dark page.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from dashboards import (
    report_checks,
    report_figures,
    report_measured,
    report_scaling,
    report_search,
    report_text,
    theme,
)
from dashboards.report_content import ReportContent
from dashboards.report_parts import Section, as_json

PACKAGES = ("hyperlaw", "numpy", "pandas", "optuna", "ray", "torch")


class ReportError(RuntimeError):
    """The report could not be written where it was asked to be."""


def write_report(path: str | Path, content: ReportContent) -> None:
    """Write the report to a file, as a whole or not at all; a file of that name is replaced.

    Raises
    ------
    ReportError : the folder does not exist or cannot be written to, or the path is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ReportError(
            f"cannot write {target}: the folder {target.parent} does not exist; make it first"
        )
    if target.is_dir():
        raise ReportError(f"cannot write {target}: it is a folder; name a file in it")
    page = render_report(content)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(target)
    except OSError as error:
        raise ReportError(f"cannot write {target}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def render_report(content: ReportContent) -> str:
    """Return the report as one HTML page."""
    environment = Environment(
        loader=PackageLoader("dashboards"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=theme.format_count,
        percent=theme.format_percent,
        setting=theme.format_setting,
        formula=report_text.formula_html,
    )
    return environment.get_template("report.html.jinja").render(
        content=content,
        law=content.law,
        prediction=content.prediction,
        figures=report_figures.draw(content),
        sections=_sections(content),
        text=report_text,
        counts=report_text.status_counts(content.runs),
        generated=content.generated.strftime("%d %B %Y, %H:%M %Z").strip(),
        versions=_versions(),
        plotly_js=Markup(get_plotlyjs()),
        plotly_config=as_json(theme.PLOTLY_CONFIG),
        templates={
            scheme: as_json(theme.template(scheme).to_plotly_json()) for scheme in ("light", "dark")
        },
    )


def _sections(content: ReportContent) -> dict[str, Section]:
    """Return the sections that this report's data support, by their anchors."""
    found = {
        "best": report_measured.best_runs(content),
        "plan": report_scaling.next_runs(content),
        "slices": report_measured.slices(content),
        "transfer": report_scaling.transfer(content),
        "checks": report_checks.checks(content),
        "compute": report_scaling.compute(content),
        "importance": report_search.importance(content),
        "search": report_search.search(content),
        "rounds": report_search.rounds(content),
        "population": report_search.population(content),
        "failures": report_search.failures(content),
    }
    return {anchor: section for anchor, section in found.items() if section is not None}


def _versions() -> list[tuple[str, str]]:
    """Return names and versions of what wrote the report, where they are installed."""
    found = [("Python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
