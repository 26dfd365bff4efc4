"""The Python interface on data sets, with a server, with a model of this machine, and from a recording."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from chat_server import chat_server
from datasets import ClassLabel, Dataset, Features, Value
from messages import LABELS, TASK, seeds, written
from tiny import tiny_model

from fewtune.runtime.augment.local import LocalModel
from fewtune.runtime.augment.pipeline import SyntheticPipeline
from fewtune.runtime.augment.teacher import Answer, Question
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
        made = pipeline.generate(people, 40, TASK, ["no names of people"])
        test = Dataset.from_list([{"text": made[3]["text"].replace("the", "THE")}])
        kept = pipeline.filter(made, evaluation={"test": test})
    assert made.num_rows >= 40
    assert made.column_names == ["text", "label", "origin", "call", "place", "attributes"]
    assert set(made["label"]) == set(LABELS)
    assert kept.num_rows + len(pipeline.rejected) == made.num_rows
    assert [one.reason for one in pipeline.rejected if one.candidate.fields["text"] == made[3]["text"]] == ["leak"]
    assert min(kept["quality"]) >= 0.5
    assert pipeline.result is not None
    assert pipeline.result.reasons["leak"] >= 1
    fewer = pipeline.filter(made, evaluation={"test": test}, want=6)
    assert fewer.num_rows == 6
    assert set(fewer["text"]) <= set(kept["text"])


def test_labels_may_be_numbers_with_names(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(LABELS))})
    people = Dataset.from_list(
        [{"text": seed.fields["text"], "label": seed.label} for seed in seeds()], features=features
    )
    with chat_server(written) as server:
        pipeline = SyntheticPipeline("writer", base_url=server.url, recording=tmp_path / "calls.jsonl", encode=None)
        made = pipeline.generate(people, 5, TASK)
    assert set(made["label"]) <= set(LABELS)


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


def test_nothing_can_be_filtered_before_it_was_written() -> None:
    with pytest.raises(RunError, match="E-usage"):
        SyntheticPipeline("writer", base_url="http://nowhere", encode=None).filter()


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
