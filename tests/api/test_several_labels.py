"""Several labels for a text, from the spec to the answer: sets of them, and a tag for each word."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import preloaded
import pytest
from project import Project
from tiny import FILLERS, KEYWORDS, LABELS, tiny_model

from fewtune.api.erring import errors
from fewtune.api.starting import start
from fewtune.api.using import export_folder, predict_source
from fewtune.specs.diagnostic import FewtuneError, PlanError

PIN = {"steps": 30, "learning_rate": 1e-2}


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
    data: dict[str, Any] = {"train": f"train.{ending}", "test": f"test.{ending}", "label_budget": 32}
    if kind == "sequence-labelling":
        write(folder / "seen.jsonl", 8, 3)
        data["validation"] = "seen.jsonl"
    spec = {
        "spec_version": 1, "name": "several", "task": {"type": kind}, "model": {"path": "model"}, "data": data,
        "evaluation": {"data_seeds": 2} | ({} if "validation" in data else {"validation": "fixed-schedule"}),
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
    assert board["head + LoRA r=8", "micro_f1"][0] > board["most frequent set", "micro_f1"][0]
    wanted, said, right = sets.sql("SELECT target, text, subset_accuracy FROM predictions WHERE split = 'test'")[0]
    assert (wanted == said) == (right == 1)


def test_tags_are_planned_trained_and_scored(tags: Project) -> None:
    plan = tags.plan().plan
    assert [arm.method for arm in plan.arms] == ["unigram", "head+lora", "head+ia3"]
    assert plan.metric == "span_f1"
    assert plan.labels == ("O", "B-sports", "I-sports", "B-world", "I-world")
    board = {(arm, metric): mean for arm, metric, mean, *_ in tags.sql(BOARD)}
    assert {metric for _, metric in board} == {"span_f1", "tag_accuracy"}
    given = [tag for line in (tags.folder / "test.jsonl").open() for tag in json.loads(line)["tags"]]
    assert board["head + LoRA r=8", "tag_accuracy"] > given.count("O") / len(given) + 0.1  # more than O for all
    curves = tags.sql("SELECT DISTINCT name FROM metrics ORDER BY name")
    assert curves == [["train_loss"], ["validation_span_f1"]]


@pytest.mark.parametrize("kind", ["sets", "tags"])
def test_a_new_process_predicts_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    project: Project = request.getfixturevalue(kind)
    name = "test.csv" if kind == "sets" else "test.jsonl"
    found = predict_source(project.workspace, str(project.folder / name))
    done = project.cli("predict", name, "--format", "jsonl", fresh=kind == "sets")
    again = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["labels" if kind == "sets" else "tags"] for row in again] == found.labels, done.stderr
    assert all(isinstance(labels, list) for labels in found.labels)
    if kind == "tags":
        assert [len(labels) for labels in found.labels] == [len(row["text"].split()) for row in found.inputs]


@pytest.mark.parametrize("kind", ["sets", "tags"])
@pytest.mark.parametrize("merged", [False, True])
def test_transformers_alone_gives_the_same(
    kind: str, merged: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project: Project = request.getfixturevalue(kind)
    arm = next(arm.name for arm in project.plan().plan.arms if arm.method == "head+lora")
    folder = tmp_path / "model"
    export_folder(project.workspace, folder, merged=merged, arm=arm)
    texts = ["goal after the treaty", "new talks on monday", "coach with people"]
    given = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    base = [] if merged else [project.folder / "model"]
    done = preloaded.run("predict.py", *base, alone=True, cwd=folder, stdin=given)
    assert done.returncode == 0, done.stderr
    (project.folder / "asked.jsonl").write_text(given.replace("text", "words") if kind == "tags" else given)
    asked = predict_source(project.workspace, str(project.folder / "asked.jsonl"), precision="fp32", arm=arm)
    said = [json.loads(line)["labels" if kind == "sets" else "tags"] for line in done.stdout.splitlines()]
    assert said == asked.labels


def test_errors_says_that_it_looks_at_single_labels(sets: Project) -> None:
    with pytest.raises(PlanError, match="a row may have several"):
        errors(sets.path, sets.workspace, None, lambda _: None)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("multi-label", {"text": "text", "label": "topics"}),
        ("sequence-labelling", {"text": "words", "label": "tags"}),
    ],
)
def test_init_sees_what_the_labels_are(tmp_path: Path, kind: str, columns: dict[str, str]) -> None:
    made = make(tmp_path, kind)
    (tmp_path / "test.csv").unlink(missing_ok=True)
    data = tmp_path / made.spec["data"]["train"]
    guesses = start(data, tmp_path / "made.toml").guesses
    assert (guesses["task"], guesses["columns"] | {"label": guesses["label"]}) == (kind, columns)


def test_rows_are_cross_validated_where_there_is_no_test_split(tmp_path: Path) -> None:
    project = make(tmp_path, "multi-label", methods={"exclude": ["encoder", "head+lora"]})
    project.spec["data"] = {"train": "train.csv"}
    project.spec["evaluation"] = {"data_seeds": 1}
    assert project.apply().state == "succeeded", project.reporter.lines
    board = project.sql("SELECT arm, items FROM leaderboard WHERE split = 'cv' AND metric = 'micro_f1'")
    assert sorted(board) == [["TF-IDF + one-vs-rest", 40], ["most frequent set", 40]]


FAULTS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "noise": ("multi-label", {"data": {"label_noise": 0.2}}, "E-conflict", "/data/label_noise"),
    "noise of tags": ("sequence-labelling", {"data": {"label_noise": 0.2}}, "E-conflict", "/data/label_noise"),
    "labels of a source": (
        "multi-label", {"data": {"train": {"path": "train.csv", "labels": {"world": "news"}}}}, "E-conflict",
        "/data/train/labels",
    ),
    "per class": ("multi-label", {"data": {"label_budget": {"per_class": 2}}}, "E-conflict", "/data/label_budget"),
    "a pattern": ("multi-label", {"task": {"patterns": ["{text} is"]}}, "E-no-effect", "/task/patterns"),
    "words": ("multi-label", {"task": {"verbalizer": {"world": "a"}}}, "E-no-effect", "/task/verbalizer"),
    "a question": ("sequence-labelling", {"task": {"question": "Which?"}}, "E-no-effect", "/task/question"),
    "pattern+lora": ("multi-label", {"methods": {"include": ["pattern+lora"]}}, "E-conflict", "/methods/include/0"),
    "a probe": ("multi-label", {"methods": {"include": ["probe"]}}, "E-conflict", "/methods/include/0"),
    "TF-IDF of tags": ("sequence-labelling", {"methods": {"include": ["tfidf"]}}, "E-conflict", "/methods/include/0"),
    "in-context": ("sequence-labelling", {"methods": {"include": ["in-context"]}}, "E-conflict", "/methods/include/0"),
    "dpo": ("multi-label", {"methods": {"include": ["dpo+lora"]}}, "E-conflict", "/methods/include/0"),
    "accuracy": ("multi-label", {"evaluation": {"metric": "accuracy"}}, "E-conflict", "/evaluation/metric"),
    "spans of sets": ("multi-label", {"evaluation": {"metric": "span_f1"}}, "E-conflict", "/evaluation/metric"),
    "a teacher": (
        "multi-label", {"methods": {"pin": {"objective": "few-shot-distillation"}}}, "E-conflict",
        "/methods/pin/objective",
    ),
    "demonstrations": (
        "multi-label", {"methods": {"pin": {"demonstrations": 4}}}, "E-no-effect", "/methods/pin/demonstrations",
    ),
    "dropout": ("multi-label", {"methods": {"pin": {"dropout": 0.1}}}, "E-conflict", "/methods/pin/dropout"),
    "labels of tags": (
        "sequence-labelling", {"task": {"labels": ["sports", "world"]}}, "E-value", "/task/labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_what_does_not_apply_is_refused(tmp_path: Path, name: str) -> None:
    kind, tables, code, pointer = FAULTS[name]
    project = make(tmp_path, kind)
    project.spec |= {table: {**project.spec[table], **given} for table, given in tables.items()}
    with pytest.raises(FewtuneError) as found:
        project.plan()
    assert (code, pointer) in {(fault.code, fault.pointer) for fault in found.value.diagnostics}
    assert all(fault.remedy for fault in found.value.diagnostics if fault.pointer == pointer)


ROWS: dict[str, tuple[str, list[dict[str, Any]], str, str]] = {
    "fewer tags": ("sequence-labelling", [{"words": ["a", "b"], "tags": ["O"]}], "E-value", "row 41: 2 words, 1 tags"),
    "no BIO": ("sequence-labelling", [{"words": "a b", "tags": "O world"}], "E-value", "row 41: 'world'"),
    "a space": ("sequence-labelling", [{"words": ["a b"], "tags": ["O"]}], "E-value", "row 41: 'a b'"),
    "no tags": ("sequence-labelling", [{"words": "a b", "tags": ""}], "E-label-missing", "row 41"),
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_rows_that_make_no_sense_are_named(tmp_path: Path, name: str) -> None:
    kind, rows, code, said = ROWS[name]
    project = make(tmp_path, kind)
    path = tmp_path / "train.jsonl"
    path.write_text(path.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(PlanError) as found:
        project.plan()
    assert any(fault.code == code and said in fault.message and fault.remedy for fault in found.value.diagnostics)


def test_a_label_of_the_test_rows_that_training_never_saw(tmp_path: Path) -> None:
    project = make(tmp_path, "multi-label")
    project.write("test.csv", [["text", "topics"], ["a new report", "world; weather"], ["a match", ""]])
    with pytest.raises(PlanError, match="weather"):
        project.plan()


def test_lists_in_json_lines_and_parquet_are_read_as_in_csv(tmp_path: Path) -> None:
    import duckdb

    project = make(tmp_path, "multi-label")
    usual = project.plan().plan
    cells = project.rows("train.csv")[1:]
    rows = [{"text": text, "topics": [part.strip() for part in cell.split(";") if part]} for text, cell in cells]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    duckdb.sql(f"COPY (FROM read_json('{tmp_path}/train.jsonl')) TO '{tmp_path}/train.parquet'")
    for name in ("train.jsonl", "train.parquet"):
        project.spec["data"]["train"] = name
        assert project.plan().plan.facts.identity == usual.facts.identity
