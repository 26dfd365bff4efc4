"""An artefact is what its event says, or it is missing."""

import json
from pathlib import Path

import miniature
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store.artefacts import STATE, Artefact, Artefacts
from fewtune.store.predictions import Predictions, parse_predictions
from fewtune.store.saved_plan import parse_plan, save_plan

STAGE = next(stage for stage in miniature.make_plan().stages if stage.split == "test")


@pytest.fixture
def artefacts(tmp_path: Path) -> Artefacts:
    return Artefacts(tmp_path / "artefacts")


def test_what_was_written_is_read(artefacts: Artefacts) -> None:
    artefact = Artefact(fingerprint="ab" * 12, name=STATE, content=b"weights")
    ref = artefacts.write(artefact)
    assert ref == artefact.ref
    assert artefacts.path(ref).parts[-3:] == ("ab", "ab" * 12, STATE)
    assert artefacts.read(ref) == b"weights"
    assert artefacts.sound(ref)
    assert artefacts.sound(ref, deep=False)


@pytest.mark.parametrize(
    ("content", "deep", "shallow"),
    [(b"weightz", False, True), (b"weight", False, False), (b"", False, False), (None, False, False)],
)
def test_a_damaged_one_is_as_good_as_missing(
    artefacts: Artefacts, content: bytes | None, deep: bool, shallow: bool
) -> None:
    ref = artefacts.write(Artefact(fingerprint="ab" * 12, name=STATE, content=b"weights"))
    path = artefacts.path(ref)
    path.unlink() if content is None else path.write_bytes(content)
    assert artefacts.sound(ref) is deep
    assert artefacts.sound(ref, deep=False) is shallow
    with pytest.raises(StoreError, match="E-artefact") as caught:
        artefacts.read(ref)
    assert str(path) in str(caught.value)
    assert artefacts.write(Artefact(fingerprint="ab" * 12, name=STATE, content=b"weights")) == ref
    assert artefacts.read(ref) == b"weights"


def test_predictions_survive_and_are_small() -> None:
    said = miniature.predictions(STAGE, 0.9)
    third = said.model_copy(update={"probabilities": ((1 / 3, 1 / 3, 1 / 3),) * len(said.rows)})
    content = third.artefact(STAGE.fingerprint).content
    assert len(content) / len(said.rows) < 40
    found = parse_predictions(content)
    assert found.probabilities[0] == (0.333333, 0.333333, 0.333333)
    assert found.model_copy(update={"probabilities": said.probabilities}) == said


def test_a_diverged_arm_has_no_probabilities() -> None:
    said = Predictions(
        split="test", names=("a", "b"), rows=(0, 1), labels=(0, 1), predicted=(0, -1),
        probabilities=((float("nan"), 0.5), (float("inf"), 0.0)),
    )  # fmt: skip
    assert said.probabilities == ((None, 0.5), (None, 0.0))
    assert said.confidence == [None, None]
    assert parse_predictions(said.artefact("ab" * 12).content) == said


def test_scores_are_those_of_the_metrics() -> None:
    said = miniature.predictions(STAGE, 0.9)
    right = sum(a == b for a, b in zip(said.labels, said.predicted, strict=True))
    assert said.scores().accuracy == right / len(said.rows)
    one = said.model_copy(update={"rows": (0,), "labels": (0,), "predicted": (0,)})
    assert one.scores().accuracy is None


def test_a_plan_survives_with_its_name_and_estimate() -> None:
    plan = miniature.make_plan(notes="first")
    saved = save_plan(plan, miniature.make_estimate(plan))
    assert parse_plan(saved.artefact.content) == saved
    assert saved.plan_hash == plan.hash
    other = save_plan(miniature.make_plan(notes="second"), miniature.make_estimate(plan))
    assert other.plan_hash == saved.plan_hash, "a note is no part of the plan's hash"
    assert other.artefact.fingerprint != saved.artefact.fingerprint, "but both notes are kept"
    assert json.loads(saved.artefact.content)["plan_hash"] == plan.hash
