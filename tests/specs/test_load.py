"""From bytes to an experiment: both formats, every fault with its place, and what omitted and short forms mean."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fewtune.specs.data import PerClass
from fewtune.specs.diagnostic import Diagnostic, SpecError
from fewtune.specs.experiment import DESCRIPTIVE, Experiment
from fewtune.specs.load import Loaded, load, load_file
from fewtune.specs.model import EMBEDDED
from fewtune.specs.schema import attribute_docs

EXAMPLES = Path(__file__).parents[2] / "examples"

MINIMAL = 'spec_version = 1\n[task]\ntype = "classification"\n[data]\ntrain = "a.csv"\n'

FULL = """\
spec_version = 1
name = "clauses"
title = "Legal clauses"
notes = '''
Two lines
of notes.'''
tags = ["legal", "demo"]

[task]
type = "classification"
labels = ["cost", "date"]
verbalizer = { cost = "money", date = "time" }
patterns = ["{text} is about", "Topic of {text} ({labels}):"]
question = "What is it about?"

[data]
train = { path = "a.csv", rows = "1-200" }
validation = "v.csv"
test = { hub = "ag_news", config = "default", split = "test", revision = "main" }
unlabelled = "u.jsonl"
text = "clause"
label = "type"
label_budget = { per_class = [8, 16] }

[data.ood]
mail = "m.csv"
blogs = { path = "b.csv" }

[model]
name = "facebook/opt-125m"
revision = "abc"
precision = "fp32"

[constraints]
gpu_memory = "24 GB"
gpu_hours = "2 h"
wall_time = "300 s"
trials = 100
disk = "5 GB"
latency = "50 ms"
deployments = 3
forgetting = 0.1
ood = true

[methods]
include = ["zero-shot"]
exclude = ["tfidf"]
pin = { rank = [4, 8], alpha = 16, targets = ["q_proj"], schedule = "cosine", early_stopping = false }

[[methods.arms]]
name = "mine"
method = "pattern+lora"
learning_rate = 1e-4
epochs = 3

[evaluation]
metric = "mcc"
data_seeds = 4
model_seeds = 2
folds = 5
validation = "held-out"
validation_fraction = 0.25
confidence = 0.9
"""


def refused(content: bytes, format: Any = None) -> tuple[Diagnostic, ...]:
    with pytest.raises(SpecError) as error:
        load(content, format=format)
    return error.value.diagnostics


def test_a_minimal_spec_leaves_everything_to_the_rules() -> None:
    experiment = load(MINIMAL.encode()).experiment
    assert experiment.data.train.place == "a.csv"
    assert experiment.data.label_budget == "all"
    assert experiment.model.is_embedded
    assert experiment.model.place == EMBEDDED
    left = experiment.model_dump(exclude_defaults=True)
    assert left == {"spec_version": 1, "task": {"type": "classification"}, "data": {"train": {"path": "a.csv"}}}


def test_every_key_of_the_language_is_read() -> None:
    experiment = load(FULL.encode()).experiment
    assert experiment.data.label_budget == PerClass(per_class=(8, 16))
    assert experiment.data.train.first_row == 1
    assert experiment.data.train.last_row == 200
    assert experiment.data.train.place == "a.csv rows 1-200"
    assert experiment.data.test is not None
    assert experiment.data.test.place == "hub:ag_news/default/test"
    assert list(experiment.data.ood) == ["blogs", "mail"]
    assert experiment.constraints.wall_time == "5 min"
    assert experiment.methods.pin.rank == (4, 8)
    assert experiment.methods.arms[0].learning_rate == (1e-4,)
    assert experiment.notes == "Two lines\nof notes."


def test_json_and_toml_give_the_same_experiment() -> None:
    from_json = load(json.dumps(tomllib.loads(FULL)).encode()).experiment
    assert from_json == load(FULL.encode()).experiment
    assert from_json.model_dump_json() == load(FULL.encode()).experiment.model_dump_json()


@pytest.mark.parametrize("text", [MINIMAL, FULL], ids=["minimal", "full"])
def test_an_experiment_survives_json(text: str) -> None:
    experiment = load(text.encode()).experiment
    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
    again = load(experiment.model_dump_json(exclude_none=True).encode(), format="json").experiment
    assert again == experiment


def test_an_experiment_cannot_be_changed() -> None:
    experiment = load(FULL.encode()).experiment
    with pytest.raises(ValidationError, match="frozen"):
        experiment.name = "other"


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The model and every model in its fields."""
    found: set[type[BaseModel]] = {model}

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
            found.update(models(annotation))
        for argument in getattr(annotation, "__args__", ()):
            walk(argument)

    for field in model.model_fields.values():
        walk(field.annotation)
    return found


@pytest.mark.parametrize("model", sorted(models(Experiment), key=str))
def test_every_model_is_closed_frozen_and_explained(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    nested = {"task", "data", "model", "constraints", "methods", "evaluation"} if model is Experiment else set()
    for name in model.model_fields.keys() - nested:
        assert attribute_docs(model).get(name, "").endswith("."), f"{model.__name__}.{name} is not explained"


def test_descriptive_fields_exist() -> None:
    assert set(DESCRIPTIVE) < Experiment.model_fields.keys()


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: path.name)
def test_examples_are_sound(path: Path) -> None:
    loaded = load_file(path)
    assert loaded.stem == path.stem
    assert loaded.document.format == "toml"


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [("all", "all"), (32, 32), ([8, 16], (8, 16)), ({"per_class": 8}, PerClass(per_class=8)),
     ({"per_class": [4, 8]}, PerClass(per_class=(4, 8)))],
)  # fmt: skip
def test_forms_of_the_label_budget(budget: Any, wanted: Any) -> None:
    document = tomllib.loads(MINIMAL)
    document["data"]["label_budget"] = budget
    assert load(json.dumps(document).encode()).experiment.data.label_budget == wanted


def test_a_single_value_is_a_list_of_one() -> None:
    pins = load(f"{MINIMAL}[methods.pin]\nrank = 8\nepochs = 3\n".encode()).experiment.methods.pin
    assert pins.rank == (8,)
    assert pins.epochs == (3.0,)


def test_a_file_gives_its_name(tmp_path: Path) -> None:
    path = tmp_path / "my spec.toml"
    path.write_text(MINIMAL)
    assert load_file(path).stem == "my spec"


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_the_ending_decides_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"spec{suffix}"
    path.write_text(json.dumps(tomllib.loads(MINIMAL)))
    if suffix == ".json":
        assert load_file(path).document.format == "json"
    else:
        with pytest.raises(SpecError, match="E-syntax"):
            load_file(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(SpecError) as error:
            load_file(path)
        (one,) = error.value.diagnostics
        assert (one.code, error.value.exit_status) == ("E-file-missing", 3)
        assert one.remedy


def test_syntax_and_types_are_one_shape() -> None:
    """What cannot be parsed and what cannot be meant are said alike."""
    (syntax,), (value,) = refused(b"spec_version = \n"), refused(f"{MINIMAL}label_budget = 0\n".encode())
    assert (syntax.line, syntax.column) == (1, 16)
    assert (value.line, value.column) == (6, 16)
    assert syntax.remedy


def test_duplicate_keys_are_refused_in_both_formats() -> None:
    for content, format in (
        (f'{MINIMAL}train = "b.csv"\n', "toml"),
        ('{"spec_version": 1, "spec_version": 1}', "json"),
    ):
        assert "E-duplicate-key" in {one.code for one in refused(content.encode(), format)}


PATTERNS = [
    ('patterns = ["no field"]', ["the pattern does not say where {text} goes"]),
    ('patterns = ["{text} {topic}"]', ["the pattern names {topic}, which this task does not have"]),
    ('patterns = ["{premise}"]', ["{text} goes", "the pattern names {premise}"]),
    ('patterns = ["{text} ok", "{txt} {text}"]', ["the pattern names {txt}"]),
    ('patterns = ["{text} {}"]', ["the pattern names {}"]),
]


@pytest.mark.parametrize(("line", "messages"), PATTERNS)
def test_patterns_name_the_fields_of_the_task(line: str, messages: list[str]) -> None:
    found = refused(MINIMAL.replace("[data]", f"{line}\n[data]").encode())
    assert [one.code for one in found] == ["E-pattern"] * len(messages)
    assert all(message in one.message for message, one in zip(messages, found, strict=True))
    assert {one.line for one in found} == {4}
    assert {one.pointer for one in found} <= {"/task/patterns/0", "/task/patterns/1"}


@pytest.mark.parametrize("pattern", ["{text}", "{text} {labels}", "{labels}: {text} {text}"])
def test_sound_patterns(pattern: str) -> None:
    load(MINIMAL.replace("[data]", f"patterns = [{json.dumps(pattern)}]\n[data]").encode())


def test_patterns_of_pairs() -> None:
    pair = MINIMAL.replace('"classification"', '"pair-classification"')
    load(pair.replace("[data]", 'patterns = ["{premise} / {hypothesis}"]\n[data]').encode())
    (one,) = refused(pair.replace("[data]", 'patterns = ["{premise}"]\n[data]').encode())
    assert "{hypothesis}" in one.message


WRITTEN = [
    ("summarisation", "[evaluation]\nmetric = 'accuracy'", "E-conflict", "/evaluation/metric", "rouge_l"),
    ("classification", "[evaluation]\nmetric = 'rouge_l'", "E-conflict", "/evaluation/metric", "mcc"),
    ("classification", "text = 'x'\nlabel = 'x'", "E-conflict", "/data/label", "another column"),
    ("classification", "[methods.pin]\nrank = [16, 8, 8]", "E-conflict", "/methods/pin/rank", None),
    ("generation", "label = 'x'", "E-conflict", "/data/label", None),
    ("classification", "target = 'x'", "E-conflict", "/data/target", None),
    ("question-answering", "text = 'x'", "E-conflict", "/data/text", None),
    ("generation", "test = {path = 'b.csv', labels = {a = 'b'}}", "E-conflict", "/data/test/labels", "remove"),
    (
        "classification",
        "unlabelled = {path = 'b.csv', labels = {a = 'b'}}",
        "E-conflict",
        "/data/unlabelled/labels",
        "remove",
    ),
    ("generation", "label_budget = {per_class = 4}", "E-conflict", "/data/label_budget", "number of rows"),
    ("summarisation", "[methods]\ninclude = ['majority']", "E-conflict", "/methods/include/0", "generate+lora"),
    ("question-answering", "[methods]\ninclude = ['lead']", "E-conflict", "/methods/include/0", "in-context"),
    ("classification", "[methods]\nexclude = ['lead']", "E-conflict", "/methods/exclude/0", "tfidf"),
    ("summarisation", "[[methods.arms]]\nmethod = 'head+lora'", "E-conflict", "/methods/arms/0/method", "generate"),
]


@pytest.mark.parametrize(("task", "line", "code", "pointer", "remedy"), WRITTEN)
def test_labels_and_texts_are_different_answers(
    task: str, line: str, code: str, pointer: str, remedy: str | None
) -> None:
    (one,) = refused((MINIMAL.replace('"classification"', f'"{task}"') + line + "\n").encode())
    assert (one.code, one.pointer) == (code, pointer)
    assert remedy is None or remedy in (one.remedy or "")


@pytest.mark.parametrize(
    ("task", "key"),
    [("summarisation", "labels = ['a', 'b']"), ("generation", "verbalizer = {a = 'b'}"),
     ("question-answering", "question = 'What is it?'"), ("classification", "instruction = 'Write it down.'")],
)  # fmt: skip
def test_what_only_the_other_kind_of_answer_feels(task: str, key: str) -> None:
    text = MINIMAL.replace('"classification"', f'"{task}"').replace("[data]", f"{key}\n[data]")
    (one,) = refused(text.encode())
    assert (one.code, one.pointer) == ("E-no-effect", f"/task/{key.split()[0]}")


NAMED = "teacher = {model = 'm', base_url = 'http://localhost'}"


@pytest.mark.parametrize(
    ("lines", "unfelt"),
    [
        ("eda = true\nkeep = 5\ntarget = 20", ["keep", "target"]),
        ("task_description = 'abc'\ndomain_constraints = ['abc']\nlabel_plan = 'proportional'",
         ["domain_constraints", "label_plan", "task_description"]),
        ("gate = false\nmax_tokens = 1000\nquality_threshold = 0.8", ["gate", "max_tokens", "quality_threshold"]),
        ("attributes.tone = ['abc']\nfactor = 2\ndiversity_weight = 0.1", ["attributes", "diversity_weight", "factor"]),
        ("eda = true\neda_copies = 4\ndomain_constraints = []\nquality_threshold = 0.85", []),
        (f"{NAMED}\neda_alpha = 0.1\nkeep = 5", ["eda_alpha"]),
        (f"{NAMED}\neda = true\neda_alpha = 0.1\nkeep = 5", []),
    ],
)  # fmt: skip
def test_what_only_a_teacher_or_only_changed_copies_feel(lines: str, unfelt: list[str]) -> None:
    text = f"{MINIMAL}\n[augmentation]\n{lines}\n".encode()
    if not unfelt:
        load(text)
        return
    found = refused(text)
    assert sorted((one.code, one.pointer) for one in found) == [
        ("E-no-effect", f"/augmentation/{name}") for name in unfelt
    ]


def test_patterns_of_answers() -> None:
    answers = MINIMAL.replace('"classification"', '"question-answering"')
    for pattern in ("{context} {question}", "{question}"):
        load(answers.replace("[data]", f'patterns = ["{pattern}"]\n[data]').encode())
    (one,) = refused(answers.replace("[data]", 'patterns = ["{context} {labels} {question}"]\n[data]').encode())
    assert "{labels}" in one.message


def test_findings_of_later_steps_get_their_place() -> None:
    loaded: Loaded = load(FULL.encode())
    lines = FULL.split("\n")
    for pointer, code in (
        ("/constraints/wall_time", "W-cut"),
        ("/evaluation/folds", "E-no-effect"),
        ("/data/ood/blogs", "E-column"),
    ):
        (one,) = loaded.located([Diagnostic(code=code, message="", pointer=pointer)])
        assert one.line is not None
        assert one.column is not None
        line = lines[one.line - 1]
        key = pointer.rsplit("/", 1)[-1]
        assert line.startswith(key)
        assert (one.column == 1) is (code == "E-no-effect"), "the key where the key is wrong, else the value"


def test_a_finding_about_what_is_missing_points_to_its_table() -> None:
    (one,) = load(MINIMAL.encode()).located([Diagnostic(code="W-small-test", message="", pointer="/data/test")])
    assert one.line == 4


def test_a_finding_that_has_a_place_keeps_it() -> None:
    placed = Diagnostic(code="W-cut", message="", pointer="/data/train", line=40, column=2)
    assert load(MINIMAL.encode()).located([placed]) == (placed,)
