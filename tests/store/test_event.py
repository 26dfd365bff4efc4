"""Every kind of event survives the journal unchanged; what JSON cannot say becomes null or is cleaned."""

import json
from typing import get_args

import pytest

from fewtune.store import event as events
from fewtune.store.event import AnyEvent, ArmScore, ArtefactRef, Event, Scores, parse
from fewtune.store.record import START, decode, encode

REF = ArtefactRef(fingerprint="ab" * 12, name="state.safetensors", sha256="0" * 64, size=10)
EXAMPLES: list[Event] = [
    events.RunStarted(run="r1", plan_hash="p", experiment="e", spec={"notes": "é"}, plan=REF, devices=("cpu",)),
    events.Sampled(sample="8/0", content="c", n=8, data_seed=0, train=(3, 1), validation=(2,), scored=(0,)),
    events.AttemptStarted(
        attempt="r1-1", run="r1", job="j", trial=None, stages=("s",), fingerprints=("ab" * 12,), arm="a"
    ),
    events.AttemptEnded(attempt="r1-1", state="failed", failure="worker_lost", message="gone", seconds=None),
    events.Fitted(
        stage_kind="refit", fingerprint="ab" * 12, attempt="r1-1", artefact=None, steps=6, best_step=4, diverged=False,
        losses=((1, 0.1 + 0.2),), validation=(), seconds=1.0, tokens=5, trainable_parameters=7, peak_memory_bytes=1,
        micro_batch=8, device="cpu", versions={"torch": "2"},
    ),
    events.Augmented(
        fingerprint="ab" * 12, attempt="r1-1", source="teacher", model="m", n=8, data_seed=0, seeds=8, written=20,
        kept=9,
        passed_share=0.45, stopped="target", calls=4, tokens=900, cost=0.01, teacher_accuracy=1.0, student_accuracy=0.5,
        seconds=1.0, artefact=REF,
    ),
    events.Evaluated(
        fingerprint="ab" * 12, attempt="r1-1", split="test", metrics=Scores(accuracy=1 / 3, macro_f1=0.0, mcc=-1.0),
        items=3, seconds=0.1, artefact=REF, content="c",
    ),
    events.Selected(
        run="r1", fingerprint="ab" * 12, arm="a", gate="rules-order", scores=(ArmScore(arm="a", value=None),)
    ),
    events.Looked(content="c", plan_hash="p"),
    events.RunEnded(run="r1", state="partial", seconds=2.5, message="one trial failed"),
]  # fmt: skip


def test_every_kind_has_an_example() -> None:
    kinds = {kind.model_fields["kind"].default for kind in get_args(get_args(AnyEvent)[0])}
    assert kinds == {example.kind for example in EXAMPLES}


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_an_event_survives_the_journal(event: Event) -> None:
    line, after = encode(event, START, "2026-01-01T00:00:00.000Z", 3)
    record, end = decode(line[:-1], START)
    assert record.event == event
    assert (record.seq, record.fence, record.kind) == (1, 3, event.kind)
    assert end == after == (len(line), 1, end.checksum, 3)


def test_what_was_written_before_there_were_these_fields_is_read() -> None:
    """Journals of earlier versions say nothing of the general ability, of spared seconds and of turned labels."""
    later = {"fitted": "general", "evaluated": "spared_seconds", "sampled": "flipped"}
    for event in EXAMPLES:
        if event.kind in later:
            data = event.model_dump(mode="json", exclude={"kind"})
            assert (
                parse(event.kind, {name: value for name, value in data.items() if name != later[event.kind]}) == event
            )


def test_a_state_that_diverged_has_no_ability() -> None:
    nan = float("nan")
    found = events.General(version=1, loss_before=3.0, loss=nan, accuracy_before=0.8, accuracy=nan, tokens=5, items=2,
                           seconds=0.1)  # fmt: skip
    assert (found.loss, found.accuracy, found.loss_before) == (None, None, 3.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_null(value: float) -> None:
    assert Scores(accuracy=value, macro_f1=value, mcc=0.5) == Scores(accuracy=None, macro_f1=None, mcc=0.5)
    fitted = EXAMPLES[4].model_dump() | {"losses": [(1, value)]}
    event = events.Fitted.model_validate(fitted)
    assert event.losses == ((1, None),)
    assert b"null" in encode(event, START, "", 1)[0]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("plain", "plain"),
        ("a lone \udc80 surrogate", "a lone ? surrogate"),
        ("x" * 5000, "x" * 1000 + " [...] " + "x" * 1000),
        ("two\nlines\x00", "two\nlines\x00"),
    ],
)
def test_messages_are_clean_and_short(said: str, kept: str) -> None:
    event = events.RunEnded(run="r1", state="failed", seconds=None, message=said)
    assert event.message == kept
    json.loads(encode(event, START, "", 1)[0])


@pytest.mark.parametrize("name", ["../x.json", "x", "X.json", "a/b.json", ".x.json", "a.json\n"])
def test_an_artefact_cannot_lie_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ArtefactRef(fingerprint="ab" * 12, name=name, sha256="0" * 64, size=1)


@pytest.mark.parametrize("fingerprint", ["../../etc", "AB" * 12, "", "ab/cd", "ab" * 40])
def test_a_fingerprint_is_hexadecimal(fingerprint: str) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        ArtefactRef(fingerprint=fingerprint, name="a.json", sha256="0" * 64, size=1)


def test_an_unknown_kind_is_none_and_a_broken_one_an_error() -> None:
    assert parse("later", {"anything": 1}) is None
    with pytest.raises(ValueError, match="content"):
        parse("looked", {"plan_hash": "p"})
