"""The operator's policy against a plan: every ceiling by itself, none beyond what it says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from situations import SHAPES, compiled

from fewtune.compiler.admission import Spent, admit, device_hours
from fewtune.compiler.plan import Compiled
from fewtune.specs.policy import NO_POLICY, Channel, Policy

NAME = next(iter(SHAPES))
COMPILED: Compiled = compiled(SHAPES[NAME][0], **SHAPES[NAME][1])
HOURS = device_hours(COMPILED)
SECONDS = COMPILED.estimate.seconds.high
BYTES = COMPILED.estimate.disk_bytes.high
TRIALS = len(COMPILED.plan.trials)
NOTHING = Spent()


def policy(**tables: Any) -> Policy:
    return Policy.model_validate({"policy_version": 1, "agents_submit": True, **tables})


def milliseconds(seconds: float, factor: float) -> str:
    return f"{int(seconds * 1000 * factor)} ms"


BELOW_AND_ABOVE: list[tuple[str, str, Any, Any]] = [
    ("each", "trials", TRIALS, TRIALS - 1),
    ("each", "wall_time", milliseconds(SECONDS, 1.01), milliseconds(SECONDS, 0.99)),
    ("each", "device_hours", milliseconds(HOURS * 3600, 1.01), milliseconds(HOURS * 3600, 0.99)),
    ("each", "disk", f"{int(BYTES) + 1} B", f"{int(BYTES) - 1} B"),
    ("each", "looks", 4, 3),
    ("totals", "device_hours", milliseconds((HOURS + 2) * 3600, 1.01), milliseconds((HOURS + 2) * 3600, 0.99)),
    ("totals", "submissions", 6, 5),
]


@pytest.mark.parametrize(("table", "limit", "enough", "too_little"), BELOW_AND_ABOVE)
def test_each_ceiling_binds_by_itself(table: str, limit: str, enough: Any, too_little: Any) -> None:
    spent, looks = Spent(device_hours=2, submissions=5), {"test": 4, "ood": 1}
    allowed = admit(COMPILED, policy(**{table: {limit: enough}}), "agent", spent, looks)
    assert (allowed.tier, allowed.because) == ("allowed", "")
    over = admit(COMPILED, policy(**{table: {limit: too_little}}), "agent", spent, looks)
    assert over.tier == "approval"
    assert [excess.limit for excess in over.over] == [f"{table}.{limit}"]
    assert over.over[0].lower


@pytest.mark.parametrize(
    ("found", "channel", "tier"),
    [
        (NO_POLICY, "terminal", "allowed"),
        (NO_POLICY, "agent", "refused"),
        (policy(), "agent", "allowed"),
        (policy(agents_submit=False), "terminal", "allowed"),
        (policy(models=["other/*"]), "terminal", "refused"),
        (policy(models=[COMPILED.plan.facts.model]), "agent", "allowed"),
    ],
)
def test_who_may_run_what(found: Policy, channel: Channel, tier: str) -> None:
    assert admit(COMPILED, found, channel, NOTHING, {}).tier == tier


def test_a_refusal_is_not_turned_into_a_question() -> None:
    both = admit(COMPILED, policy(models=["other/*"], each={"trials": 0}), "agent", NOTHING, {})
    assert both.tier == "refused"
    assert both.over


@given(st.floats(0, 100), st.integers(0, 100), st.integers(0, 200), st.integers(0, 50))
def test_no_plan_above_any_ceiling_is_allowed(hours: float, submissions: int, trials: int, looks: int) -> None:
    found = policy(each={"trials": trials, "looks": 10}, totals={"submissions": 20, "device_hours": "50 h"})
    spent = Spent(device_hours=hours, submissions=submissions)
    answer = admit(COMPILED, found, "agent", spent, {"test": looks})
    above = trials < TRIALS or looks > 10 or submissions + 1 > 20 or hours + HOURS > 50
    assert (answer.tier == "allowed") is not above
