"""The tools that only read: what is there, a spec and its plan, results."""

from dataclasses import asdict
from typing import Any

from fewtune.api.absent import absent, unready
from fewtune.api.bounded import BRIEF, FULL, fit
from fewtune.api.client import Client
from fewtune.api.concise import budget, concise
from fewtune.api.envelope import Envelope
from fewtune.api.pages.brief import brief
from fewtune.api.pages.describing import described
from fewtune.api.planning import explained_data, flips, plan_data
from fewtune.api.tools.tool import Arguments, Tool
from fewtune.compiler.admission import Admission

SPEC: dict[str, Any] = {"description": "A spec: an object, a TOML or JSON text, or the path of a file."}
DETAIL: dict[str, Any] = {"type": "string", "enum": ["brief", "full"], "description": "full: up to 32 kB."}


def text(about: str) -> dict[str, Any]:
    """The schema of an argument that is a text."""
    return {"type": "string", "description": about}


def most(arguments: Arguments) -> int:
    """Bytes that the answer may have."""
    return FULL if arguments.get("detail") == "full" else BRIEF


def _brief(client: Client, arguments: Arguments) -> Envelope:
    return Envelope(ok=True, verb="brief", data={"text": brief(budget(client))}, next=("draft_spec", "validate_spec"))


def _describe(client: Client, arguments: Arguments) -> Envelope:
    return Envelope(ok=True, verb="describe", data=described(arguments.get("topic"), arguments.get("name")))


def _draft(client: Client, arguments: Arguments) -> Envelope:
    made = client.draft(arguments["data"], label=arguments.get("label"), text=arguments.get("text"))
    data = {name: value for name, value in made.data().items() if name != "path"}  # nothing was written
    return fit(Envelope(ok=True, verb="init", data=data, diagnostics=made.findings, next=("plan_spec",)))


def _validate(client: Client, arguments: Arguments) -> Envelope:
    checked = client.validate(arguments["spec"], fix=bool(arguments.get("fix")))
    data = {"valid": checked.valid, "fixed": checked.fixed}
    fixable = any(finding.fixes for finding in checked.found)
    mend = "apply the fixes" if fixable else "mend it as the remedies say"
    following = ("plan_spec",) if checked.valid else (f"{mend}, then validate_spec again",)
    envelope = Envelope(ok=True, verb="validate", data=data, diagnostics=checked.found, next=following)
    return fit(envelope, FULL, "mend what is shown, then validate again")


def _plan(client: Client, arguments: Arguments) -> Envelope:
    changes = arguments.get("what_if") or ()
    planned = client.plan(arguments["spec"], within=arguments.get("within"), what_if=changes)
    admission = client.admission(planned)
    data = concise(planned, admission)
    if arguments.get("detail") == "full":
        data = plan_data(planned) | {"admission": data["admission"]}
    following = (_way(client, admission), "explain_plan")
    missing = absent(planned)
    notes = [missing.model_copy(update={"severity": "warning"})] if missing else []
    if not admission.refused:  # whether a variable is set is told only of a teacher that the policy allows
        notes += unready(planned)
    envelope = Envelope(
        ok=True, verb="plan", data=data, diagnostics=(*planned.warnings, *notes), next=following, limits=budget(client)
    )
    return fit(envelope, most(arguments), "explain_plan has single decisions; detail=full has up to 32 kB")


def _way(client: Client, admission: Admission) -> str:
    """How a plan is run."""
    if not client.in_force.agents_submit:
        return "tell the operator: fewtune apply SPEC"
    if admission.refused:
        return "plan_spec with what the policy allows: describe with topic=policy"
    waits = ", and it waits for the operator's word; or plan_spec with less" if admission.over else ""
    return f"submit_plan with this plan_hash{waits}"


def _explain(client: Client, arguments: Arguments) -> Envelope:
    planned, decisions = client.explained(arguments["spec"], arguments.get("pointer"))
    envelope = Envelope(ok=True, verb="explain", data=explained_data(planned, decisions, flips(planned, decisions)))
    return fit(envelope, most(arguments), "give a pointer such as /arms/4/lora/rank")


def _results(client: Client, arguments: Arguments) -> Envelope:
    found = client.results(arguments.get("experiment"))
    envelope = Envelope(ok=True, verb="results", data=found.data(), next=("compare_arms", "query_results"))
    return fit(envelope, most(arguments), "query_results: SELECT ... FROM leaderboard")


def _compare(client: Client, arguments: Arguments) -> Envelope:
    which = {name: arguments.get(name) for name in ("metric", "split", "n")}
    compared = client.compare(arguments["a"], arguments["b"], **which)
    return Envelope(ok=True, verb="compare", data=compared.data() | {"text": compared.text()})


def _query(client: Client, arguments: Arguments) -> Envelope:
    found = client.sql(arguments["sql"], arguments.get("limit") or 50, max_bytes=most(arguments))
    data = {
        "columns": [asdict(column) for column in found.columns], "rows": found.rows,
        "behind_seconds": found.behind_seconds,
    }  # fmt: skip
    cut = {"shown": len(found.rows), "cut_by": found.cut_by, "hint": "aggregate in SQL"} if found.truncated else None
    envelope = Envelope(ok=True, verb="sql", data=data, as_of=found.as_of, truncated=cut)
    return fit(envelope, most(arguments), "aggregate in SQL")


READING = (
    Tool("brief", "Start here: what fewtune does, the spec's signature, a first spec, views, limits. 8 kB of text.",
         _brief),
    Tool("describe", "A page (8 kB at most) about a topic: spec, rules, results, codes, sql, policy ... Without a "
         "topic: the list. Example: topic=spec, name=/data.", _describe,
         {"topic": text("A topic."), "name": text("Within it: a pointer, a rule, a view, a code.")}),
    Tool("draft_spec", "A spec for a data file (CSV, JSON lines, Parquet): columns, task, labels, duplicates, leaks. "
         'Writes nothing. Example: {"data": "train.csv"}.', _draft,
         {"data": text("The file's path."), "label": text("The labels' column."), "text": text("The texts' column.")},
         ("data",)),
    Tool("validate_spec", "Every fault of a spec at once, each with code, pointer and fixes (RFC 6902 patches marked "
         "safe, likely or choose). An invalid spec is a successful call. fix=true returns the mended text.", _validate,
         {"spec": SPEC, "fix": {"type": "boolean", "description": "Apply safe and likely fixes."}}, ("spec",)),
    Tool("plan_spec", "What would run and why, what it costs, what it can tell, what is there already, whether the "
         'operator must agree. Has no side effects. Example: {"spec": "spec.toml", "what_if": '
         '["data.label_budget=64"]}.', _plan,
         {"spec": SPEC, "within": text('Plan to a clock: "10 min".'),
          "what_if": {"type": "array", "description": "Changes: KEY=VALUE or RFC 6902 operations."}, "detail": DETAIL},
         ("spec",)),
    Tool("explain_plan", "Why a value of the plan is what it is: rule, evidence, alternatives, and the nearest change "
         "of facts that would flip it.", _explain,
         {"spec": SPEC, "pointer": text("A decision: /arms/4/lora/rank, rank, or an arm's name."), "detail": DETAIL},
         ("spec",)),
    Tool("show_results", "The verdict in a sentence, the leaderboard with intervals, comparisons with the chosen arm.",
         _results, {"experiment": text("An experiment's name [the latest run's]."), "detail": DETAIL}),
    Tool("compare_arms", "Two arms on the same items: difference, interval, verdict (better, worse, cannot tell) and "
         "what would decide it.", _compare,
         {"a": text("An arm of the latest run, or RUN/ARM."), "b": text("Another one."), "metric": text("A metric."),
          "split": text("test, cv or a named split."), "n": {"type": "integer", "description": "Data size."}},
         ("a", "b")),
    Tool("query_results", "One SELECT (DuckDB) on the published results. Views: leaderboard, comparisons, runs, "
         "trials, evaluations, metrics, costs, failures ... Aggregate rather than read rows. Example: SELECT arm, "
         "mean, ci_low, ci_high FROM leaderboard ORDER BY mean DESC.", _query,
         {"sql": text("One SELECT."), "limit": {"type": "integer", "minimum": 1, "maximum": 1000,
                                                "description": "Rows at most [50]."}, "detail": DETAIL}, ("sql",)),
)  # fmt: skip
"""In the order in which a client lists them."""
