"""The quickstart's clauses with the embedded model as the teacher: its recorded calls answer for it, in any process."""

from pathlib import Path

import pytest

from fewtune.api.session import plan_spec
from fewtune.compiler.arm import Augmented
from fewtune.compiler.plan import Stage
from fewtune.runtime.augment.recording import Recording
from fewtune.runtime.augment.stage import AugmentMaker, rows_of
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.specs.diagnostic import RunError

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
RECORDING = EXAMPLES / "legal" / "calls.jsonl"
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not encoder_is_ready(), reason="the encoder is not in the cache: make pull"),
]


def maker(workspace: Path, replayed: Path) -> AugmentMaker:
    planned = plan_spec(EXAMPLES / "augmented.toml", workspace)
    samples = {sample.id: sample for sample in planned.compiled.samples}
    data = planned.probed.facts.data
    return AugmentMaker(planned.plan, data, planned.probed.corpus, samples, workspace, replayed)


def stages_of(made: AugmentMaker) -> list[Stage]:
    return [stage for stage in made.plan.stages if stage.id.startswith("augment/teacher/")]


def twin_of(made: AugmentMaker) -> Augmented:
    found = (arm.augmentation for arm in made.plan.arms if arm.augmentation)
    return next(augmented for augmented in found if augmented.source == "teacher")


def test_the_recording_answers_for_a_sample_and_again(tmp_path: Path) -> None:
    made = maker(tmp_path, RECORDING)
    stage, twin = stages_of(made)[0], twin_of(made)
    once, again = (made.run(stage, twin, attempt, None) for attempt in ("a1", "a2"))
    assert once.artefact == again.artefact
    assert once.event.kept == len(rows_of(once.artefact.content))
    assert "writes examples badly" in once.event.note


@pytest.mark.full
def test_the_recording_answers_all_that_the_plan_asks(tmp_path: Path) -> None:
    made = maker(tmp_path, RECORDING)
    stages, twin = stages_of(made), twin_of(made)
    found = [made.run(stage, twin, "a1", None) for stage in stages]
    assert len(stages) == 4
    assert {one.event.stopped for one in found} <= {"target", "saturation", "questions"}
    assert sum(one.event.calls for one in found) == len(Recording(RECORDING).answers)
    assert all(one.event.kept == len(rows_of(one.artefact.content)) for one in found)


def test_another_recording_does_not_answer_for_it(tmp_path: Path) -> None:
    other = tmp_path / "calls.jsonl"
    lines = RECORDING.read_text().splitlines(keepends=True)
    other.write_text("".join([lines[0], *lines[2:]]))  # the first line is the teacher's note
    made = maker(tmp_path, other)
    with pytest.raises(RunError, match="E-not-recorded"):
        [made.run(stage, twin_of(made), "a1", None) for stage in stages_of(made)]
