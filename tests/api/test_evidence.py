"""Evidence of a workspace's own runs: shown, adopted into the lock, weighed by plans, and dropped again."""

import json
from typing import Any

import pytest
from project import Project, make_project

OTHERS = ["encoder", "probe", "in-context", "pattern+full", "head+lora", "zero-shot"]
METHODS = {"exclude": OTHERS, "pin": {"steps": 4, "rank": 4, "learning_rate": [1e-9]}}
TFIDF = "TF-IDF + logistic regression"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A trained arm that learns nothing, beside a regression that does: the rules put it first all the same."""
    made = make_project(
        tmp_path_factory.mktemp("evidence"), n=48, train=160, test=200, evaluation={"data_seeds": 4}, methods=METHODS
    )
    assert made.apply().state == "succeeded"
    return made


def asked(made: Project, *arguments: str) -> dict[str, Any]:
    done = made.cli("evidence", *arguments, "--json")
    assert done.returncode == 0, done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)["data"]
    return answer


def test_it_is_shown_and_nothing_enters_a_plan_unasked(ran: Project) -> None:
    before = ran.plan().plan
    found = asked(ran)
    (contest,) = found["contests"]
    assert contest["arm"] == TFIDF
    assert [other["arm"] for other in contest["ahead_of"]] == ["pattern + LoRA r=4"]
    assert (contest["seeds"], contest["items"]) == (4, 200)
    assert found["adopted"]["wins"] == []
    assert ran.plan().plan.hash == before.hash
    assert before.preferred is None
    shown = ran.cli("evidence").stdout
    assert "Who was ahead" in shown
    assert "evidence adopt SPEC" in shown


def test_adopted_it_is_weighed_and_named_and_starts_nothing(ran: Project) -> None:
    before = ran.plan().plan
    found = asked(ran, "adopt", str(ran.path))
    plan = ran.plan().plan
    assert plan.preferred == "tfidf"
    assert (before.gates[0].arms[0], plan.gates[0].arms[0]) == ("pattern + LoRA r=4", TFIDF)
    assert plan.facts.adopted == found["adopted"]["id"] != ""
    assert plan.hash != before.hash
    decision = next(one for one in plan.decisions if one.field == "/preferred")
    assert "of pattern + LoRA r=4 by" in decision.because
    assert [trial.fingerprint for trial in plan.trials] == [trial.fingerprint for trial in before.trials]
    assert ran.apply().started == 0
    assert "adopted in" in ran.cli("evidence").stdout
    assert asked(ran, str(ran.path))["adopted"]["id"] == plan.facts.adopted
    asked(ran, "drop", str(ran.path))
    assert ran.plan().plan.hash == before.hash


def test_dropping_nothing_leaves_no_lock_behind(ran: Project) -> None:
    lock = ran.folder / "fewtune.lock"
    lock.unlink(missing_ok=True)
    asked(ran, "drop", str(ran.path))
    assert not lock.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["adopt"], 2, "E-usage"),
        (["admit", "spec.json"], 2, "E-usage"),
        (["adopt", "nowhere.toml"], 3, "E-file-missing"),
        (["--workspace", "empty"], 7, "E-nothing-to-show"),
    ],
)
def test_what_is_refused(ran: Project, arguments: list[str], status: int, code: str) -> None:
    done = ran.cli("evidence", *arguments, "--json")
    assert json.loads(done.stdout)["diagnostics"][0]["code"] == code
    assert done.returncode == status
    assert not (ran.folder / "empty").exists()
