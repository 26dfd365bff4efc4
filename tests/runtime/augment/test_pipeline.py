"""The Python interface on data sets, with a server, with a model of this machine, and from a recording."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import chat_server
from datasets import ClassLabel, Dataset, Features, Value
from messages import LABELS, TASK, seeds, written
from tiny import tiny_model

from fewtune.runtime.augment.local import LocalModel
from fewtune.runtime.augment.pipeline import SyntheticPipeline
from fewtune.runtime.augment.recording import Recorded, Recording
from fewtune.runtime.augment.table import PROVENANCE
from fewtune.runtime.augment.teacher import Answer, Question
from fewtune.runtime.augment.teachers import Loaded, TeacherRef, opened
from fewtune.runtime.augment.vectors import embedded_vectors
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.specs.diagnostic import RunError

AGAIN = """
import hashlib, json, sys
from datasets import Dataset
from fewtune.runtime.augment.pipeline import SyntheticPipeline
seeds = Dataset.from_list(json.loads(sys.argv[2]))
pipeline = SyntheticPipeline("writer", recording=sys.argv[1], replay=True, base_url="http://nowhere", encode=None)
pipeline.generate(seeds, 40, sys.argv[3], ["no names of people"])
kept = pipeline.filter()
print(hashlib.sha256(json.dumps(kept.to_dict()).encode()).hexdigest())
"""


def rows() -> list[dict[str, str]]:
    return [{"text": seed.fields["text"], "label": LABELS[seed.label]} for seed in seeds()]


def test_three_calls_on_data_sets(tmp_path: Path) -> None:
    people = Dataset.from_list(rows())
    with chat_server(written) as server:
        pipeline = SyntheticPipeline(
            "writer", base_url=server.url, recording=tmp_path / "calls.jsonl", encode=None, quality_threshold=0.5
        )
        made = pipeline.generate(people, 38, TASK, ["no names of people"])
        beyond = pipeline.rejected
        test = Dataset.from_list([{"text": made[3]["text"].replace("the", "THE")}])
        kept = pipeline.filter(made, evaluation={"test": test})
    assert len([row for row in made if not row["fault"]]) == 38
    assert {one.reason for one in beyond} == {"not-selected"}
    assert {one.candidate.fields["text"] for one in beyond}.isdisjoint(made["text"])
    assert made.column_names == ["text", "label", *PROVENANCE]
    assert set(made["label"]) == set(LABELS)
    assert kept.num_rows + len(pipeline.rejected) == made.num_rows
    assert [one.reason for one in pipeline.rejected if one.candidate.fields["text"] == made[3]["text"]] == ["leak"]
    assert min(kept["quality"]) >= 0.5
    assert pipeline.result is not None
    assert pipeline.result.reasons["leak"] >= 1
    assert pipeline.result.calls > 0
    fewer = pipeline.filter(made, evaluation={"test": test}, want=6)
    assert fewer.num_rows == 6
    assert set(fewer["text"]) <= set(kept["text"])


def fresh(**more: Any) -> SyntheticPipeline:
    """A pipeline whose teacher is never asked."""
    return SyntheticPipeline("nobody", encode=None, **more)


def test_a_data_set_of_anybody_is_filtered_as_it_is(tmp_path: Path) -> None:
    people = Dataset.from_list(rows())
    with chat_server(written) as server:
        pipeline = SyntheticPipeline("writer", base_url=server.url, recording=tmp_path / "calls.jsonl", encode=None)
        made = pipeline.generate(people, 40, TASK)
    own = pipeline.filter(made)
    other = fresh()
    assert other.filter(made, seed_examples=people).to_dict() == own.to_dict()
    assert other.rejected == pipeline.rejected
    assert other.result is not None
    assert (other.result.calls, other.result.stopped) == (0, "")
    edited = own.map(lambda row, at: {"text": rows()[0]["text"] if at == 0 else row["text"]}, with_indices=True)
    kept = pipeline.filter(edited)
    assert [(one.reason, one.candidate.call) for one in pipeline.rejected if one.reason == "near-seed"] == [
        ("near-seed", own[0]["call"])
    ]
    assert set(kept["text"]) <= set(own["text"]) - {own[0]["text"]}


def test_rows_by_hand_have_no_provenance_and_keep_their_columns() -> None:
    by_hand = [
        {"text": "I am glad that the shop repaired my old kettle.", "label": "praise", "author": "A"},
        {"text": "Which counter takes back a broken lamp?", "label": "gossip", "author": "B"},
        {"text": "", "label": "question", "author": "C"},
    ]
    pipeline = fresh()
    kept = pipeline.filter(by_hand, seed_examples=rows())
    assert kept.to_list() == [
        {**by_hand[0], **dict.fromkeys(PROVENANCE), "quality": kept[0]["quality"]},
    ]
    assert [(one.reason, one.detail) for one in pipeline.rejected] == [
        ("format", "the label 'gossip' is none of the seeds'"),
        ("format", "empty"),
    ]
    again = pipeline.filter(kept, seed_examples=Dataset.from_list(rows()))
    assert again.to_dict() == kept.to_dict()


def test_labels_of_rows_and_seeds_meet_by_name() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(reversed(LABELS)))})
    text = "I am glad that the shop repaired my old kettle."
    numbered = Dataset.from_list([{"text": text, "label": LABELS[::-1].index("praise")}], features=features)
    pipeline = fresh(quality_threshold=0.0)
    kept = pipeline.filter(numbered, seed_examples=rows())
    assert kept["label"] == numbered["label"]
    assert pipeline.result is not None
    assert pipeline.result.kept[0].candidate.label == sorted(LABELS).index("praise")


CLASSES = Features({"text": Value("string"), "label": ClassLabel(names=list(reversed(LABELS)))})


@pytest.mark.parametrize("label", [CLASSES["label"], Value("string")])
def test_what_is_made_has_the_types_of_the_seeds(tmp_path: Path, label: Any) -> None:
    features = Features({"text": Value("large_string"), "label": label})
    numbers = {name: place for place, name in enumerate(reversed(LABELS))}
    people = Dataset.from_list(
        [{**row, "label": row["label"] if label.dtype == "string" else numbers[row["label"]]} for row in rows()],
        features=features,
    )
    with chat_server(written) as server:
        pipeline = SyntheticPipeline("writer", base_url=server.url, recording=tmp_path / "calls.jsonl", encode=None)
        made = pipeline.generate(people, 9, TASK)
        kept = pipeline.filter()
    for found in (made, kept, pipeline.filter(made.select([])), pipeline.filter(made.to_list())):
        assert {name: found.features[name] for name in features} == features
    assert set(made["label"]) == set(people["label"])
    text_of = dict(zip(made["text"], made["label"], strict=True))
    assert len(kept)
    assert all(text_of[row["text"]] == row["label"] for row in kept)


def test_rows_of_other_types_get_those_of_the_seeds() -> None:
    people = Dataset.from_list([{**row, "label": CLASSES["label"].str2int(row["label"])} for row in rows()],
                               features=CLASSES)  # fmt: skip
    by_hand = [{"text": "I am glad that the shop repaired my old kettle.", "label": "praise", "author": "A"}]
    kept = fresh().filter(by_hand, seed_examples=people)
    assert (kept["label"], kept["author"]) == ([CLASSES["label"].str2int("praise")], ["A"])
    assert kept.features["label"] == CLASSES["label"]
    plain = people.cast_column("label", Value("int64"))
    kept = fresh().filter([{**by_hand[0], "label": "0"}], seed_examples=plain)
    assert (kept["label"], kept.features["label"]) == ([0], Value("int64"))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fresh().filter(rows()), "there are no seeds"),
        (lambda: fresh().filter(seed_examples=rows()), "nothing to filter yet"),
        (lambda: fresh().filter(rows(), seed_examples=[]), "there are no seeds"),
        (lambda: fresh().filter([{"message": "a", "label": "praise"}], seed_examples=rows()), "no column 'text'"),
        (lambda: fresh().filter(rows(), seed_examples=rows(), label="topic"), "no column 'topic'"),
        (
            lambda: fresh().filter(rows(), seed_examples=rows(), evaluation={"test": [{"body": "a"}]}),
            "no column 'text'; they have 'body'",
        ),
    ],
)
def test_what_cannot_be_filtered(call: Callable[[], object], says: str) -> None:
    with pytest.raises(RunError, match="E-usage") as found:
        call()
    assert says in str(found.value)


@pytest.mark.full
def test_two_processes_make_the_same_data_from_a_recording(tmp_path: Path) -> None:
    path, people = tmp_path / "calls.jsonl", rows()
    with chat_server(written) as server:
        pipeline = SyntheticPipeline("writer", base_url=server.url, recording=path, encode=None)
        pipeline.generate(Dataset.from_list(people), 40, TASK, ["no names of people"])
        own = hashlib.sha256(json.dumps(pipeline.filter().to_dict()).encode()).hexdigest()
    command = [sys.executable, "-c", AGAIN, str(path), json.dumps(people), TASK]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == own


def question(number: int, temperature: float = 0.9) -> Question:
    return Question(
        system="You write.", user=f"the new report {number}", max_tokens=8, temperature=temperature, seed=number
    )


@pytest.mark.full
def test_a_model_of_this_machine_answers_the_same_again(tmp_path: Path) -> None:
    teacher = LocalModel(tiny_model(tmp_path), "tiny", batch=2)
    questions = [question(number) for number in range(5)]
    once, again = dict(teacher.ask(questions)), dict(teacher.ask(questions))
    assert once == again
    assert list(once) == [0, 1, 2, 3, 4]
    assert all(isinstance(answer, Answer) and 0 < answer.completion_tokens <= 8 for answer in once.values())
    assert len({answer.text for answer in once.values() if isinstance(answer, Answer)}) > 1
    greedy = [dict(teacher.ask([question(0, 0.0).model_copy(update={"seed": seed})]))[0] for seed in (1, 2)]
    assert greedy[0] == greedy[1]
    assert "writes examples badly" in teacher.note


def test_a_model_of_this_machine_is_kept_until_it_is_released(tmp_path: Path) -> None:
    folder, loaded = tiny_model(tmp_path), Loaded()
    ref = TeacherRef(model=str(folder))
    first, again = (opened(ref, Recording(tmp_path / "calls.jsonl"), loaded=loaded) for _ in range(2))
    assert isinstance(first, Recorded)
    assert isinstance(again, Recorded)
    assert first.teacher is again.teacher
    assert loaded
    loaded.release()
    assert not loaded
    third = opened(ref, Recording(tmp_path / "calls.jsonl"), loaded=loaded)
    assert isinstance(third, Recorded)
    assert third.teacher is not first.teacher


def test_a_model_behind_a_server_is_driven_end_to_end(tmp_path: Path) -> None:
    model = LocalModel(tiny_model(tmp_path / "model"), "tiny")

    def write(request: dict[str, object]) -> str:
        one = Question(system="", user=str(request["messages"])[-300:], max_tokens=6, temperature=0.9,
                       seed=int(str(request["seed"])))  # fmt: skip
        answer = dict(model.ask([one]))[0]
        assert isinstance(answer, Answer)
        return answer.text or "nothing"

    with chat_server(write, ["server error", "cut"]) as server:
        pipeline = SyntheticPipeline(
            "tiny", base_url=server.url, recording=tmp_path / "calls.jsonl", encode=None, concurrency=1
        )
        pipeline.generate(Dataset.from_list(rows()), 4, TASK)
        kept = pipeline.filter()
    assert kept.num_rows == 0  # a random model writes nothing of use, and nothing of it gets through
    assert {one.reason for one in pipeline.rejected} == {"format"}
    assert pipeline.result is not None
    assert pipeline.result.stopped == "saturation"


@pytest.mark.model
@pytest.mark.skipif(not encoder_is_ready(), reason="the encoder is not in the cache: make pull")
def test_the_encoder_tells_meanings() -> None:
    encode = embedded_vectors()
    assert encode is not None
    vectors = encode(["The parcel is late.", "My package has not come yet.", "We sell fresh bread."])
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2] + 0.1
    assert likeness.diagonal() == pytest.approx([1, 1, 1], abs=1e-5)
    assert encode([]).shape[0] == 0


@pytest.mark.parametrize(
    ("made", "asked", "said"),
    [
        ({"quality_threshold": 3.0}, {}, "quality_threshold is 3.0"),
        ({}, {"target_count": 0}, "target_count is 0"),
        ({}, {"domain_constraints": "British English"}, "where texts are listed"),
        ({}, {"attributes": {"tone": "polite"}}, "where texts are listed"),
        ({}, {"seed_examples": []}, "there are no seeds"),
        ({}, {"label_plan": {"zzz": 1.0}}, "'zzz' is not a label"),
        ({}, {"label_plan": {LABELS[0]: 0.0}}, "one of them above"),
        ({}, {"label_plan": "balancd"}, "no label plan"),
        ({}, {}, "neither the embedded model nor a folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(
    made: dict[str, Any], asked: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")  # a mistyped name goes to no vendor
    arguments = {"seed_examples": rows(), "target_count": 4, "task_description": TASK, **asked}
    with pytest.raises(RunError, match=said):
        SyntheticPipeline("smollm2-135m", recording=tmp_path / "calls.jsonl", encode=None, **made).generate(**arguments)
