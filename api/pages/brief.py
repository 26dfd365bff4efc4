"""The page that an agent reads first: enough to write a first valid spec, run it and query it."""

from typing import Any

from fewtune.api.envelope import exit_codes
from fewtune.api.pages.describing import topics
from fewtune.api.starting import example_folder
from fewtune.specs.diagnostic import CODES
from fewtune.specs.signature import line
from fewtune.store.views import PUBLIC

MOST = 8_000
"""Bytes."""
FIELDS = (
    "/spec_version", "/name", "/task/type", "/task/labels", "/task/verbalizer", "/task/instruction", "/data/train",
    "/data/test", "/data/text", "/data/label", "/data/target", "/data/label_budget", "/model/name", "/model/path",
    "/constraints/wall_time", "/constraints/gpu_memory", "/constraints/trials", "/evaluation/metric",
    "/evaluation/data_seeds", "/methods/include", "/methods/exclude", "/methods/pin", "/methods/arms",
)  # fmt: skip
"""The core of the language; `describe spec` has all of it."""
VIEWS = {
    "leaderboard": "experiment, metric, split, n, arm, mean, ci_low, ci_high, seeds, chosen",
    "comparisons": "chosen_arm, arm, difference, ci_low, ci_high, verdict, more_seeds",
    "trials": "run, trial, arm, n, data_seed, state", "evaluations": "trial, split, the metrics",
    "metrics": "trial, name, step, value", "decisions": "field, value, rule, because",
    "costs": "estimate against actual", "failures": "why jobs failed", "runs": "one for each apply",
}  # fmt: skip
"""View -> what it has, the most useful first."""
TEXT = """\
# fewtune in one page

Which fine-tuning method works with this task, these few labels and this machine, and can one tell? You write a short
spec (TOML or JSON); what you omit, rules decide and explain. Loop: draft -> validate -> plan -> submit -> watch ->
results. Every answer is one object: ok, verb, data, diagnostics, next, truncated, limits. A value of null or an
omitted key means "the rules decide".

## Verbs (MCP tool; command)
- brief; `fewtune brief`: this page
- describe {{topic, name}}; `fewtune describe TOPIC`: pages; without a topic their list
- draft_spec {{data}}; `fewtune init DATA`: a spec for a CSV, JSON lines or Parquet file
- validate_spec {{spec, fix}}; `fewtune validate SPEC --fix`: every fault at once, with patches
- plan_spec {{spec, what_if, within}}; `fewtune plan SPEC`: what would run, why, cost, plan_hash; no side effects
- explain_plan {{spec, pointer}}; `fewtune explain SPEC PTR`: rule, evidence, what would flip it
- submit_plan {{spec, plan_hash}}; `fewtune apply SPEC --detach`: a handle at once; the same plan is begun once
- watch_run {{run, cursor, wait_s}}; `fewtune status|watch RUN`: state, why it waits, next_poll_s, events
- cancel_run {{run}}; `fewtune cancel RUN`
- show_results; `fewtune results`: verdict and leaderboard
- compare_arms {{a, b}}; `fewtune compare A B`: difference, interval, verdict
- query_results {{sql}}; `fewtune sql "SELECT ..."`: one SELECT, DuckDB
With the command line add --json. Exit codes: {exits}. validate ends with 3 whatever it found.

## A first spec
```toml
{example}```
`spec` may be this text, the same as an object, or a file's path. Paths are relative to the spec's folder (or to the
server's). No test file: cross-validation on the training rows.

## The core of the language
{signature}
All fields: describe spec. Evidence behind decisions: describe rules, describe rule R-035.
A list where one value is usual makes an arm, or a point of a learning curve, of each.

## Errors
Each has code, pointer, message, expected, nearest, fixes. A fix is a list of RFC 6902 operations marked safe (apply),
likely (apply, then look) or choose (a person's or your decision). Apply, then validate again. {codes} codes:
describe code E-...

## Results
{views}
Higher is better for every metric. Verdicts are better, worse or cannot tell, at the level of all comparisons made.
Do not try seeds until one wins: looks at a test split are counted, and a single seed is never better.

## Pages (describe TOPIC)
{topics}

## Limits now
{limits}
Above a ceiling a plan waits for the operator's word at a terminal; no tool gives it.
"""


def brief(limits: dict[str, Any]) -> str:
    """The page, at most 8,000 bytes.

    Args:
        limits: what may still be done without asking.
    """
    spec = (example_folder() / "quickstart.toml").read_text(encoding="utf-8")
    known = {view.name for view in PUBLIC}
    views = "\n".join(f"- {name}: {what}" for name, what in VIEWS.items() if name in known)
    said = "\n".join(f"- {name}: {value}" for name, value in limits.items() if value not in (None, {}))
    return TEXT.format(
        example=spec, signature="\n".join(f"- {line(field, 105)}" for field in FIELDS), codes=len(CODES), views=views,
        limits=said, topics=", ".join(topics()), exits=exit_codes(),
    )  # fmt: skip
