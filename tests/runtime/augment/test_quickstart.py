"""The quickstart's clauses with the embedded model as the teacher: its recorded calls answer for it, in any process."""

from pathlib import Path

import pytest

from fewtune.api.session import plan_spec
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


def test_the_recording_answers_all_that_the_plan_asks(tmp_path: Path) -> None:
    made = maker(tmp_path, RECORDING)
    stages = [stage for stage in made.plan.stages if stage.id.startswith("augment/teacher/")]
    twin = next(arm.augmentation for arm in made.plan.arms if arm.augmentation and arm.augmentation.source == "teacher")
    found = [made.run(stage, twin, "a1", None) for stage in stages]
    assert len(stages) == 4
    assert {one.event.stopped for one in found} <= {"target", "saturation", "questions"}
    assert sum(one.event.calls for one in found) == len(Recording(RECORDING).answers)
    assert all(one.event.kept == len(rows_of(one.artefact.content)) for one in found)
    again = made.run(stages[0], twin, "a2", None)
    assert again.artefact == found[0].artefact


def test_another_recording_does_not_answer_for_it(tmp_path: Path) -> None:
    other = tmp_path / "calls.jsonl"
    lines = RECORDING.read_text().splitlines(keepends=True)
    other.write_text("".join(lines[1:]))
    made = maker(tmp_path, other)
    twin = next(arm.augmentation for arm in made.plan.arms if arm.augmentation and arm.augmentation.source == "teacher")
    stages = [stage for stage in made.plan.stages if stage.id.startswith("augment/teacher/")]
    with pytest.raises(RunError, match="E-not-recorded"):
        [made.run(stage, twin, "a1", None) for stage in stages]
