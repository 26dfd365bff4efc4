"""The page: head, verdict and sections, in the order in which one asks."""

from pathlib import Path

from fewtune.api.report.findings import Findings
from fewtune.api.report.markup import Html, element, together
from fewtune.api.report.reasons import circumstances, decisions, repeating
from fewtune.api.report.spending import costs, trouble
from fewtune.api.report.standing import leaderboard, learning, training
from fewtune.api.report.style import CSS, policy
from fewtune.api.report.synthetic import synthetic
from fewtune.api.shows.console import clock
from fewtune.specs.diagnostic import Diagnostic, RunError

MARK = element("meta", name="generator", content="fewtune report")
"""By which a page of ours is known: only such a file is replaced."""
HEAD = 200
"""Bytes at whose end the mark has been read."""


def write_report(found: Findings, output: Path) -> int:
    """Write the page; returns its size in bytes.

    Raises:
        RunError: E-usage where the file is there and is no such page.
    """
    _refuse_others(output)
    content = page(found).encode()
    output.write_bytes(content)
    return len(content)


def _refuse_others(output: Path) -> None:
    """A page is made again at any time; what somebody else wrote may not be."""
    if not output.is_file() or output.stat().st_size == 0:
        return
    with output.open("rb") as handle:
        ours = MARK.encode() in handle.read(HEAD)
    if not ours:
        message, remedy = f"{output} is there and is no report", "name another file with -o"
        raise RunError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)


def page(found: Findings) -> str:
    """The page as text; the same results give the same page. It asks for nothing from anywhere."""
    title = f"{found.results.plan.experiment.title or found.results.experiment}: run {found.results.run.id}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        MARK,
        element("meta", http_equiv="Content-Security-Policy", content=policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(CSS)),
    )
    sections = (leaderboard, learning, synthetic, training, costs, trouble, decisions, circumstances, repeating)
    body = element("main", _opening(found), *(section(found) for section in sections), _closing(found))
    return f"<!doctype html>\n{element('html', together(head, element('body', body)), lang='en')}\n"


def _opening(found: Findings) -> Html:
    results, row = found.results, found.row
    state = results.run.ended.state if results.run.ended else "running"
    took = f" in {clock(row['seconds'])}" if row.get("seconds") else ""
    arms = len(results.plan.arms)
    begun = results.run.at[:16].replace("T", " ")
    said = (
        f"{results.experiment}, run {results.run.id}: {state}{took}, begun {begun} UTC. "
        f"{results.plan.facts.model} on {results.plan.facts.devices} × {results.plan.facts.device}, {arms} arms, "
        f"{len(results.plan.trials)} trials."
    )
    verdict = results.verdict.sentence if results.verdict else "No verdict: the chosen arm has no complete result."
    return element(
        "header",
        element("h1", results.plan.experiment.title or results.experiment),
        element("p", said, class_="soft"),
        element("p", verdict, class_="verdict"),
        element("p", results.forecast.sentence) if results.forecast else None,
    )


def _closing(found: Findings) -> Html:
    as_of = f"Results as of {found.as_of[:19].replace('T', ' ')} UTC. " if found.as_of else ""
    return element("footer", f"{as_of}Made by fewtune {found.results.run.started.version}.")
