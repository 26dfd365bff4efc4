"""A plan knows what was tried before it: the nearest experiments with their outcome, and how often a split was seen."""

import json
from pathlib import Path

import pytest
from project import Project, make_project

from fewtune.api.comparing import compare_arms
from fewtune.api.planning import explained
from fewtune.specs.diagnostic import FewtuneError

CHEAP = {
    "exclude": ["encoder", "probe", "in-context", "zero-shot", "head+lora", "pattern+full", "pattern+lora"],
    "pin": {},
}  # fmt: skip
"""Majority and TF-IDF: a run takes a second."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four experiments: one, the same with more seeds, one with fewer labels, one of another task's data."""
    made = make_project(tmp_path_factory.mktemp("earlier"), methods=CHEAP)
    for name, seeds, n in (("first", 2, 16), ("more seeds", 3, 16), ("fewer labels", 2, 12)):
        made.spec["name"] = name
        made.spec["evaluation"]["data_seeds"] = seeds
        made.spec["data"]["label_budget"] = n
        assert made.apply().state == "succeeded"
    made.spec |= {"name": "first"}
    made.spec["data"]["label_budget"] = 16
    return made


def test_a_finished_plan_says_that_nothing_is_new(project: Project) -> None:
    project.spec["evaluation"]["data_seeds"] = 2
    first, second, third = project.plan().earlier
    assert (first.kind, first.run.id, first.differs, first.resolved) == ("the same plan", "r0001", (), ())
    assert "nothing is new" in first.sentence
    assert first.outcome is not None
    assert first.outcome.arm in first.sentence
    assert (second.kind, second.run.id) == ("the same but for the seeds", "r0002")
    assert "data_seeds (3 -> 2)" in second.sentence
    assert (third.kind, [one.pointer for one in third.differs]) == ("near", ["/data/label_budget"])


def test_outcomes_are_those_of_the_leaderboard(project: Project) -> None:
    project.spec["evaluation"]["data_seeds"] = 2
    for one in project.plan().earlier:
        query = (
            "SELECT arm, mean, ci_low, ci_high, seeds, items, level FROM leaderboard WHERE chosen AND split = 'test'"
        )
        [row] = project.sql(f"{query} AND metric = 'accuracy' AND run = '{one.run.id}'")
        assert one.outcome is not None
        found = one.outcome
        assert [found.arm, found.mean, found.low, found.high, found.seeds, found.items, found.level] == row


def test_looks_are_foretold_and_many_are_warned_of(project: Project) -> None:
    project.spec["evaluation"]["data_seeds"] = 3
    done = project.plan()
    assert done.look is not None
    assert (done.look.number, done.look.total) == (2, 3)
    assert "W-looks" not in {one.code for one in done.warnings}
    project.spec["evaluation"]["data_seeds"] = 4
    fresh = project.plan()
    assert fresh.look is not None
    assert (fresh.look.number, fresh.look.total) == (4, 3)
    [warning] = [one for one in fresh.warnings if one.code == "W-looks"]
    assert "this plan is look 4 at the test split" in warning.message
    assert fresh.detectable is not None
    assert fresh.compiled.estimate.detectable is not None
    assert fresh.detectable.difference > fresh.compiled.estimate.detectable.difference  # type: ignore[operator]


def test_the_same_scores_under_another_limit_are_no_new_look(project: Project) -> None:
    project.spec["evaluation"]["data_seeds"] = 2
    project.spec["constraints"] = {"wall_time": "9h"}
    try:
        again = project.plan()
        assert again.look is not None
        assert (again.look.number, again.look.total, again.changes.stages) == (1, 3, ())
        assert project.apply().state == "succeeded"
        rows = project.sql("SELECT DISTINCT look, looks FROM leaderboard WHERE run = 'r0004' AND split = 'test'")
        assert rows == [[1, 3]]
    finally:
        del project.spec["constraints"]


def test_the_plans_text_speaks_of_what_it_has(project: Project) -> None:
    project.spec["evaluation"]["data_seeds"] = 2
    text = project.cli("plan", "spec.json").stdout
    assert "trained arms" not in text, "none is trained here"
    assert "memory  0 B" not in text


def test_watch_takes_the_latest_run(project: Project) -> None:
    done = json.loads(project.cli("watch", "--json").stdout.splitlines()[-1])
    assert (done["data"]["handle"], done["data"]["state"]) == (project.reader.runs()[-1].id, "succeeded")


@pytest.mark.parametrize(("asked", "near"), [("majorty", "majority"), ("moedl", "model"), ("zzz", None)])
def test_names_that_are_near_are_named(project: Project, asked: str, near: str | None) -> None:
    with pytest.raises(FewtuneError) as raised:
        explained(project.plan().plan, asked)
    [found] = raised.value.diagnostics
    names = (found.remedy or "").removeprefix("there are ").split(", ")
    assert (found.nearest, names) == (near, sorted(name for name in names if not name.isdigit()))
    with pytest.raises(FewtuneError) as raised:
        compare_arms(project.workspace, "majority", "TF-IDF + regression")
    assert raised.value.diagnostics[0].nearest == "TF-IDF + logistic regression"


@pytest.mark.parametrize("mark", [" ", "  ", ".", "!"])
def test_the_same_rows_in_other_spacing_are_no_fresh_split(project: Project, mark: str) -> None:
    head, first, *others = project.rows("test.csv")
    project.write("spaced.csv", [head, *others, [mark + first[0], *first[1:]]])
    spec = project.spec
    project.spec = spec | {"data": spec["data"] | {"test": "spaced.csv"}}
    try:
        planned = project.plan()
        assert planned.look is not None
        assert (planned.look.number, len(planned.earlier)) == (4, 3)
    finally:
        project.spec = spec


def test_what_the_plan_is_does_not_depend_on_what_was_seen(project: Project, tmp_path: Path) -> None:
    """Looks and neighbours stand beside the plan: its file is the same in a new workspace."""
    project.spec["evaluation"]["data_seeds"] = 4
    saved = []
    for workspace in (project.workspace, tmp_path / "new"):
        answered = project.cli("plan", "spec.json", "--save", "plan.json", "--json", "-w", str(workspace))
        assert answered.returncode == 0
        saved.append((project.folder / "plan.json").read_bytes())
    assert saved[0] == saved[1]


def test_other_rows_are_no_neighbours_but_the_same_under_another_name_are(project: Project) -> None:
    rows = project.rows("train.csv")
    project.write("other.csv", rows)
    project.write("copy.csv", project.rows("test.csv"))
    spec = project.spec
    try:
        project.spec = spec | {"data": {"train": "other.csv", "label_budget": 16}}
        assert project.plan().earlier == ()
        project.spec = spec | {"data": {"train": "other.csv", "test": "copy.csv", "label_budget": 16}}
        assert len(project.plan().earlier) == 3
    finally:
        project.spec = spec
