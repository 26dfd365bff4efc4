"""Several labels for a text, from the spec to the answer: sets of them, and a tag for each word."""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from project import Project
from tiny import FILLERS, KEYWORDS, LABELS, tiny_model

from fewtune.api.erring import errors
from fewtune.api.starting import start
from fewtune.api.using import export_folder, predict_source
from fewtune.specs.diagnostic import FewtuneError, PlanError

PIN = {"steps": 12, "learning_rate": 1e-2}


def a_set(rng: random.Random) -> tuple[str, list[str]]:
    """A text with a word of each of its labels."""
    labels = sorted(rng.sample(LABELS, rng.choice([0, 1, 1, 2])))
    told = [rng.choice(KEYWORDS[label]) for label in labels] + rng.choices(FILLERS, k=4)
    rng.shuffle(told)
    return " ".join(told), labels


def tagged(rng: random.Random) -> tuple[list[str], list[str]]:
    """Words with their tags: keywords are spans."""
    words, tags = list[str](), list[str]()
    for _ in range(rng.randint(2, 4)):
        words.append(rng.choice(FILLERS))
        tags.append("O")
        label = rng.choice(LABELS[:2])
        for place in range(rng.choice([1, 2])):
            words.append(rng.choice(KEYWORDS[label]))
            tags.append(f"{'I' if place else 'B'}-{label}")
    return words, tags


def write_sets(path: Path, count: int, seed: int) -> None:
    rng = random.Random(seed)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "topics"])
        for _ in range(count):
            text, labels = a_set(rng)
            writer.writerow([text, "; ".join(labels)])


def write_tags(path: Path, count: int, seed: int) -> None:
    rng = random.Random(seed)
    rows = (dict(zip(("words", "tags"), tagged(rng), strict=True)) for _ in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make(folder: Path, kind: str, **tables: Any) -> Project:
    tiny_model(folder / "model")
    ending, write = ("csv", write_sets) if kind == "multi-label" else ("jsonl", write_tags)
    write(folder / f"train.{ending}", 40, 1)
    write(folder / f"test.{ending}", 12, 2)
    spec = {
        "spec_version": 1, "name": "several", "task": {"type": kind}, "model": {"path": "model"},
        "data": {"train": f"train.{ending}", "test": f"test.{ending}", "label_budget": 32},
        "evaluation": {"data_seeds": 2, "validation": "held-out"},
        "methods": {"exclude": ["encoder"] if kind == "multi-label" else [], "include": ["head+ia3"], "pin": PIN},
    }  # fmt: skip
    return Project(folder, {**spec, **tables})


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make(tmp_path_factory.mktemp("sets"), "multi-label")
    assert made.apply().state == "succeeded", made.reporter.lines
    return made


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make(tmp_path_factory.mktemp("tags"), "sequence-labelling")
    assert made.apply().state == "succeeded", made.reporter.lines
    return made


BOARD = "SELECT arm, metric, mean, ci_low, ci_high FROM leaderboard WHERE split = 'test'"


def test_sets_are_planned_trained_and_scored(sets: Project) -> None:
    plan = sets.plan().plan
    assert [arm.method for arm in plan.arms] == ["majority", "tfidf", "head+lora", "head+ia3"]
    assert plan.metric == "micro_f1"
    assert {arm.marks for arm in plan.arms} == {"set"}
    board = {(arm, metric): ends for arm, metric, *ends in sets.sql(BOARD)}
    assert {metric for _, metric in board} == {"micro_f1", "macro_f1", "subset_accuracy"}
    assert {arm for arm, _ in board} == {arm.name for arm in plan.arms}
    assert all(low <= mean <= high for mean, low, high in board.values())
    assert board["head + LoRA r=4", "micro_f1"][0] > board["most frequent set", "micro_f1"][0]
    wanted, said, right = sets.sql("SELECT target, text, subset_accuracy FROM predictions WHERE split = 'test'")[0]
    assert (wanted == said) == (right == 1)


def test_tags_are_planned_trained_and_scored(tags: Project) -> None:
    plan = tags.plan().plan
    assert [arm.method for arm in plan.arms] == ["unigram", "head+lora", "head+ia3"]
    assert plan.metric == "span_f1"
    assert plan.labels == ("O", "B-sports", "I-sports", "B-world", "I-world")
    board = {(arm, metric): mean for arm, metric, mean, *_ in tags.sql(BOARD)}
    assert {metric for _, metric in board} == {"span_f1", "tag_accuracy"}
    assert board["head + LoRA r=4", "tag_accuracy"] > 0.6
    curves = tags.sql("SELECT DISTINCT name FROM metrics ORDER BY name")
    assert curves == [["train_loss"], ["validation_span_f1"]]


def rows_of(project: Project, name: str, arm: str) -> list[list[Any]]:
    return predict_source(project.workspace, str(project.folder / name), arm=arm).rows(False)


@pytest.mark.parametrize("kind", ["sets", "tags"])
def test_a_new_process_predicts_the_same_and_so_does_the_export(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project: Project = request.getfixturevalue(kind)
    name = "test.csv" if kind == "sets" else "test.jsonl"
    found = predict_source(project.workspace, str(project.folder / name))
    done = project.cli("predict", name, "--format", "jsonl")
    again = [json.loads(line) for line in done.stdout.splitlines()]
    column = "labels" if kind == "sets" else "tags"
    assert [row[column] for row in again] == found.labels, done.stderr
    assert all(isinstance(labels, list) for labels in found.labels)
    if kind == "tags":
        assert [len(labels) for labels in found.labels] == [len(row["text"].split()) for row in found.inputs]


def exported(project: Project, folder: Path, texts: list[str], *, merged: bool) -> list[dict[str, Any]]:
    arm = next(arm.name for arm in project.plan().plan.arms if arm.method == "head+lora")
    export_folder(project.workspace, folder, merged=merged)
    script = [sys.executable, "predict.py", *([] if merged else [str(project.folder / "model")])]
    given = "\n".join(json.dumps({"text": text}) for text in texts)
    done = subprocess.run(script, cwd=folder, input=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
