"""Parts of the labels choose the arm, through apply: what learns is chosen, and nothing of the parts is kept."""

from pathlib import Path
from typing import Any

import pytest
from project import Project, make_project

from fewtune.api.using import export_folder
from fewtune.runtime.choosing import validation_scores
from fewtune.store.predictions import Predictions, parse_predictions
from fewtune.store.reader import Reader

IDLE, GOOD = 1e-9, 2e-2
"""Learning rates: an arm that stays where it was, and one that learns the toy task."""
OTHERS = ["encoder", "probe", "in-context", "head+lora", "pattern+full"]


def made(folder: Path, rate: float, baseline: str = "tfidf", **evaluation: Any) -> Project:
    arms = [{"method": "pattern+lora", "name": "tuned", "steps": 12, "rank": 4, "learning_rate": rate}]
    others = {"tfidf", "zero-shot"} - {baseline}
    return make_project(
        folder, n=32, train=120, test=20, evaluation={"data_seeds": 3, "validation": "cross-validation", **evaluation},
        methods={"exclude": [*OTHERS, *others], "include": [baseline], "pin": {}, "arms": arms},
    )  # fmt: skip


def chosen(project: Project) -> str:
    ((arm,),) = project.sql("SELECT DISTINCT arm FROM leaderboard WHERE chosen")
    return str(arm)


@pytest.mark.parametrize(
    ("rate", "baseline", "best"), [(IDLE, "tfidf", "TF-IDF + logistic regression"), (GOOD, "zero-shot", "tuned")]
)
def test_what_learns_is_chosen(tmp_path: Path, rate: float, baseline: str, best: str) -> None:
    """The rules' order would choose the tuned arm either way."""
    project = made(tmp_path, rate, baseline)
    done = project.apply()
    assert done.state == "succeeded"
    assert chosen(project) == best
    seen = project.sql("SELECT job FROM attempts WHERE arm = 'tuned' ORDER BY job")
    parts = [str(job) for (job,) in seen if "/part" in str(job)]
    assert len(parts) == 3 * 4
    reader = Reader(project.workspace)
    plan = project.plan().plan
    for stage in plan.stages:
        if stage.kind == "train" and stage.arm == "tuned":
            assert (reader.history().fitted[stage.fingerprint].artefact is None) is plan.is_part(stage)
    assert project.apply().started == 0
    assert project.plan().changes.nothing
    export_folder(project.workspace, project.folder / "made", arm="tuned")
    card = (project.folder / "made" / "README.md").read_text()
    assert ("The run chose TF-IDF" in card) is (best != "tuned")


def test_the_parts_of_a_sample_are_scored_as_one(tmp_path: Path) -> None:
    project = made(tmp_path, GOOD, metric="mcc")
    assert project.apply().state == "succeeded"
    plan, reader = project.plan().plan, Reader(project.workspace)
    found = validation_scores(plan, plan.stage_index["select"], reader.history(), reader.read)
    assert found.keys() == set(plan.gates[0].arms)
    from sklearn.metrics import matthews_corrcoef

    for arm, value in found.items():
        each = []
        for seed in range(3):
            said = [
                parse_predictions(reader.read(reader.history().evaluated[stage.fingerprint].artefact))
                for need in plan.stage_index["select"].needs
                if (stage := plan.stage_index[need]).arm == arm and (stage.sample or "").startswith(f"32/{seed}/")
            ]
            labels, predicted = (
                [value for one in said if isinstance(one, Predictions) for value in getattr(one, column)]
                for column in ("labels", "predicted")
            )
            assert len(labels) == 32
            each.append(matthews_corrcoef(labels, predicted))
        assert value == pytest.approx(sum(each) / 3)


def test_a_lost_score_of_a_part_is_made_again(tmp_path: Path) -> None:
    project = made(tmp_path, GOOD)
    project.apply()
    stage = next(s for s in project.plan().plan.stages if s.arm == "tuned" and s.id.endswith("part1/validation"))
    reader = Reader(project.workspace)
    reader.artefacts.path(reader.history().evaluated[stage.fingerprint].artefact).unlink()
    done = project.apply()
    assert (done.state, done.started) == ("succeeded", 1)
