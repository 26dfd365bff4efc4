"""Every adaptation from the spec to the results, in one experiment, and all its columns by one query."""

from pathlib import Path

from adaptation_cases import NAMES
from project import make_project

from fewtune.compiler.adaptations import TRAITS

WITHOUT = {"bitfit"}
"""The tiny Llama has no biases."""
COLUMNS = """
SELECT t.arm, avg(e.accuracy), max(t.training_seconds), max(t.peak_memory_bytes), max(t.trainable_parameters),
    max(t.adapter_bytes), avg(t.latency_ms), avg(t.forgetting)
FROM trials t JOIN evaluations e USING (experiment, run, trial) WHERE e.split = 'test' GROUP BY t.arm"""


def test_one_spec_runs_them_all(tmp_path: Path) -> None:
    arms = [{"method": f"pattern+{name}"} for name in NAMES if name not in WITHOUT] + [{"method": "head+top"}]
    project = make_project(
        tmp_path,
        train=24,
        test=12,
        methods={
            "arms": arms,
            "exclude": ["encoder", "probe", "in-context"],
            "pin": {"steps": 16, "learning_rate": 0.02},
        },
        evaluation={"data_seeds": 1},
    )
    planned = project.plan()
    assert {arm.adaptation for arm in planned.plan.arms if arm.trained} == set(NAMES) - WITHOUT
    assert all(TRAITS[arm.adaptation].shown in arm.name for arm in planned.plan.arms if arm.trained)
    assert project.apply().state == "succeeded", project.reporter.lines
    rows = project.sql(COLUMNS)
    trained = [row for row in rows if row[4]]
    assert len(trained) == len(arms)
    assert all(None not in row for row in trained)
    assert len(rows) == len(planned.plan.arms)
    fitted = project.reader.history().fitted
    costs = {cost.arm: cost for cost in planned.compiled.estimate.arms}
    for row in trained:
        assert row[4] == costs[row[0]].trainable_parameters, row[0]
    losses = [[loss for _, loss in event.losses if loss is not None] for event in fitted.values() if event.steps]
    assert len(losses) == len(arms)
    assert all(sum(each[-4:]) < sum(each[:4]) for each in losses), "each of them learns"


def test_what_the_base_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    project = make_project(tmp_path, methods={"include": ["pattern+bitfit"]})
    project.path  # noqa: B018 -- written once
    done = project.cli("plan", "spec.json")
    assert done.returncode != 0
    assert "has no biases" in " ".join(done.stderr.split())
