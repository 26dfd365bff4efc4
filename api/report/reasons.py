"""The sections about the plan: what was decided and why, and how to run it again."""

import json
import re
from typing import Any

from fewtune.api.report.findings import Findings
from fewtune.api.report.markup import Html, element, together
from fewtune.api.report.tables import facts, table
from fewtune.compiler.decision import Decision
from fewtune.specs.experiment import Experiment

LONGEST = 300
"""Letters of a value."""
_ARM = re.compile(r"^/arms/(\d+)/(.+)$")
_COLUMNS = ("what", "value", "because", "evidence")


def decisions(found: Findings) -> Html:
    """Every resolved value: those of the whole experiment, then those of each arm."""
    general = [decision for decision in found.decisions if not _ARM.match(decision.field)]
    by_arm: dict[int, list[tuple[str, Decision]]] = {}
    for decision in found.decisions:
        match = _ARM.match(decision.field)
        if match:
            by_arm.setdefault(int(match.group(1)), []).append((match.group(2), decision))
    arms = found.results.plan.arms
    inner = [_of_arm(arms[place].name, mine) for place, mine in by_arm.items() if place < len(arms)]
    return element(
        "section",
        element("h2", "Decisions"),
        element("p", "Each value with the rule that decided, how strong its evidence is, and where it stands. Given: "
                "a pin, a fact or a limit, not a matter of evidence.", class_="soft"),
        _table("Of the whole experiment", [(decision.field.lstrip("/"), decision) for decision in general])
        if general else None,
        together(*inner),
    )  # fmt: skip


def _of_arm(name: str, mine: list[tuple[str, Decision]]) -> Html:
    summary = element("summary", f"{name}: {len(mine)} decision{'' if len(mine) == 1 else 's'}")
    return element("details", summary, _table(f"Of the arm {name}", mine))


def _table(caption: str, named: list[tuple[str, Decision]]) -> Html:
    rows = [(name, said(d.value), d.because + (" (pinned)" if d.pinned else ""), _evidence(d)) for name, d in named]
    return table(caption, _COLUMNS, rows, classes={"because": "why", "what": "what"}, stacked=True)


def _evidence(decision: Decision) -> str:
    return ", ".join(part for part in (f"{decision.rule} {decision.strength}", decision.source) if part)


def said(value: Any) -> str:
    """A value of the plan as one would say it.

    >>> said({"rank": 8, "targets": ["q", "v"]})
    'rank 8, targets q, v'
    """
    match value:
        case None:
            text = "none"
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:g}"
        case list() | tuple():
            text = ", ".join(said(item) for item in value) or "none"
        case dict():
            text = ", ".join(f"{key} {said(item)}" for key, item in value.items())
        case _:
            text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def circumstances(found: Findings) -> Html:
    """Model, data and device, by name and hash."""
    plan, digest, row, look = found.results.plan, found.results.plan.facts, found.row, found.results.look
    rows = ", ".join(f"{name} {count}" for name, count in digest.rows.items())
    labels = ", ".join(f"{label} {count}" for label, count in digest.labels.items())
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found.versions.items()))
    return element(
        "section",
        element("h2", "Facts"),
        facts(
            [
                ("task", plan.experiment.task.type),
                ("model", f"{digest.model}, {digest.parameters / 1e6:,.0f} million parameters"),
                ("model's weights", digest.model_hash),
                ("encoder", digest.encoder),
                ("rows", rows),
                ("columns", ", ".join(f"{field}: {column}" for field, column in digest.columns.items())),
                ("labels", labels),
                ("rows left out", f"{digest.excluded_rows} that evaluation splits have, too"
                 if digest.excluded_rows else None),
                ("planned for", f"{digest.devices} × {digest.device}"),
                ("ran on", ", ".join(json.loads(row.get("devices") or "[]"))),
                ("engine", f"{row.get('engine')}, {row.get('workers')} workers" if row.get("engine") else None),
                ("look at the test split", f"{look.number} of {look.total}" if look else None),
                ("identity of all facts", digest.identity),
                ("adopted evidence", digest.adopted),
                ("versions", f"fewtune {found.results.run.started.version}" + (f", {versions}" if versions else "")),
                ("notes", plan.experiment.notes),
            ]
        ),
    )  # fmt: skip


def repeating(found: Findings) -> Html:
    """The spec, and the commands that give this plan again."""
    plan, name = found.results.plan, f"{found.results.run.id}.json"
    commands = f"fewtune pull {name}\nfewtune plan {name}     # the plan {plan.hash}\nfewtune apply {name}"
    return element(
        "section",
        element("h2", "How to repeat it"),
        element("p", f"Save this spec as {name} in the folder that its paths start from. With the same data, model and "
                f"rules ({plan.rule_set}) the plan has the hash {plan.hash}; results that the workspace has are "
                "reused.", class_="soft"),
        element("pre", commands),
        element("pre", json.dumps(spec(plan.experiment), indent=2, ensure_ascii=False)),
    )  # fmt: skip


def spec(experiment: Experiment) -> dict[str, Any]:
    """The spec without what is left to the rules."""
    content = experiment.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {"spec_version": experiment.spec_version, **content}
