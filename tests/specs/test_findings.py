"""Faulty documents: every fault at once, each with code, place and nearest name, and with fixes that really mend."""

import json
from collections import Counter
from typing import Any

import pytest

from fewtune.specs import later
from fewtune.specs.diagnostic import CODES, Diagnostic, SpecError
from fewtune.specs.examine import examine
from fewtune.specs.experiment import Experiment
from fewtune.specs.findings import MOST
from fewtune.specs.load import load
from fewtune.specs.parse import Document, parse
from fewtune.specs.patch import apply_patches, lookup

HEAD = 'spec_version = 1\n[task]\ntype = "classification"\n[data]\ntrain = "a.csv"\n'
"""A sound spec of five lines."""

Fault = tuple[str, str, int, str | None]
"""Code, pointer, line, nearest name."""


def at_line_7(table: str, line: str) -> str:
    """A sound spec, and one more line in a table of its own."""
    return f"{HEAD}[{table}]\n{line}\n"


UNKNOWN, VALUE, MISSING, CONFLICT, LATER = "E-unknown-key", "E-value", "E-missing", "E-conflict", "E-not-yet"

MANY = """\
spec_version = 2
nme = "x"
[task]
type = "clasification"
[data]
[constraints]
wall_time = 5
trails = 3
"""

TABLE: dict[str, tuple[str, list[Fault]]] = {
    "nothing": ("", [(MISSING, "", 1, None)] * 3),
    "a misspelled root key": (HEAD.replace("spec_version", "spec_verson"),
        [(UNKNOWN, "/spec_verson", 1, "spec_version")]),
    "another version": (HEAD.replace("= 1", "= 2"), [("E-version", "/spec_version", 1, None)]),
    "a version in quotes": (HEAD.replace("= 1", '= "1"'), [("E-version", "/spec_version", 1, None)]),
    "a misspelled table": (at_line_7("constraint", 'wall_time = "1 h"'), [(UNKNOWN, "/constraint", 6, "constraints")]),
    "a key in capitals": (at_line_7("methods.pin", "Rank = 8"), [(UNKNOWN, "/methods/pin/Rank", 7, "rank")]),
    "a misspelled key": (at_line_7("constraints", 'wall_tim = "1 h"'),
        [(UNKNOWN, "/constraints/wall_tim", 7, "wall_time")]),
    "a misspelled key of a source": (HEAD.replace('"a.csv"', '{pth = "a.csv"}'),
        [(UNKNOWN, "/data/train/pth", 5, "path")]),
    "a misspelled key of an arm": (f'{HEAD}[[methods.arms]]\nmethod = "head+lora"\nrnk = 8\n',
        [(UNKNOWN, "/methods/arms/0/rnk", 8, "rank")]),
    "a misspelled key of a budget": (f"{HEAD}label_budget = {{per_class = 4, per_clas = 3}}\n",
        [(UNKNOWN, "/data/label_budget/per_clas", 6, "per_class")]),
    "a key of another table": (f'{HEAD}wall_time = "5 min"\n',
        [(UNKNOWN, "/data/wall_time", 6, "/constraints/wall_time")]),
    "a key of another table that exists": (f"{HEAD}data_seeds = 3\n[evaluation]\nfolds = 3\n",
        [(UNKNOWN, "/data/data_seeds", 6, "/evaluation/data_seeds")]),
    "a key of another table that has it": (f'{HEAD}wall_time = "1 h"\n[constraints]\nwall_time = "2 h"\n',
        [(UNKNOWN, "/data/wall_time", 6, "/constraints/wall_time")]),
    "a key that there is nowhere": (f"{HEAD}zzz = 1\n", [(UNKNOWN, "/data/zzz", 6, None)]),
    "a missing table": ('spec_version = 1\n[task]\ntype = "classification"\n', [(MISSING, "", 1, None)]),
    "a missing key": ('spec_version = 1\n[task]\n[data]\ntrain = "a.csv"\n', [(MISSING, "/task", 2, None)]),
    "an arm without method": (at_line_7("methods", 'arms = [{name = "a"}]'), [(MISSING, "/methods/arms/0", 7, None)]),
    "a table that is a word": ('spec_version = 1\ntask = "classification"\n[data]\ntrain = "a.csv"\n',
        [(VALUE, "/task", 2, None)]),
    "a misspelled word": (HEAD.replace('"classification"', '"clasification"'),
        [(VALUE, "/task/type", 3, "classification")]),
    "a misspelled method": (at_line_7("methods", 'include = ["tfidf", "pattern+lra"]'),
        [(VALUE, "/methods/include/1", 7, "pattern+lora")]),
    "a misspelled method of an arm": (f'{HEAD}[[methods.arms]]\nmethod = "head-lora"\n',
        [(VALUE, "/methods/arms/0/method", 7, "head+lora")]),
    "a misspelled metric": (at_line_7("evaluation", 'metric = "macro-f1"'),
        [(VALUE, "/evaluation/metric", 7, "macro_f1")]),
    "a misspelled budget": (f'{HEAD}label_budget = "al"\n', [(VALUE, "/data/label_budget", 6, "all")]),
    "a word for a number": (f'{HEAD}label_budget = "many"\n', [(VALUE, "/data/label_budget", 6, None)]),
    "a part of a label": (f"{HEAD}label_budget = 1.5\n", [(VALUE, "/data/label_budget", 6, None)]),
    "no label": (f"{HEAD}label_budget = 0\n", [(VALUE, "/data/label_budget", 6, None)]),
    "a word in a list of numbers": (at_line_7("methods.pin", 'rank = [8, "x"]'),
        [(VALUE, "/methods/pin/rank/1", 7, None)]),
    "a number in quotes": (at_line_7("methods.pin", 'rank = "8"'), [(VALUE, "/methods/pin/rank", 7, None)]),
    "an empty list": (at_line_7("methods.pin", "rank = []"), [(VALUE, "/methods/pin/rank", 7, None)]),
    "a number out of range": (at_line_7("methods.pin", "learning_rate = [0.1, 2]"),
        [(VALUE, "/methods/pin/learning_rate/1", 7, None)]),
    "a truth value for a number": (at_line_7("constraints", "trials = true"),
        [(VALUE, "/constraints/trials", 7, None)]),
    "a number without unit": (at_line_7("constraints", "gpu_memory = 24"),
        [(VALUE, "/constraints/gpu_memory", 7, "24 GB")]),
    "the wrong unit": (at_line_7("constraints", 'gpu_memory = "24 h"'),
        [(VALUE, "/constraints/gpu_memory", 7, "24 GB")]),
    "a confidence in per cent": (at_line_7("evaluation", "confidence = 95"),
        [(VALUE, "/evaluation/confidence", 7, None)]),
    "one fold": (at_line_7("evaluation", "folds = 1"), [(VALUE, "/evaluation/folds", 7, None)]),
    "one label": (HEAD.replace("[data]", 'labels = ["a"]\n[data]'), [(VALUE, "/task/labels", 4, None)]),
    "a pattern twice": (HEAD.replace("[data]", 'patterns = ["minimal", "minimal"]\n[data]'),
        [(CONFLICT, "/task/patterns", 4, None)]),
    "a label word that is a number": (HEAD.replace("[data]", "verbalizer = {a = 1}\n[data]"),
        [(VALUE, "/task/verbalizer/a", 4, "1")]),
    "a name with a slash": (HEAD.replace("[task]", 'name = "/etc"\n[task]'), [(VALUE, "/name", 2, "etc")]),
    "a source that is a number": (HEAD.replace('"a.csv"', "5"), [(VALUE, "/data/train", 5, None)]),
    "rows in words": (HEAD.replace('"a.csv"', '{path = "a.csv", rows = "all"}'),
        [(VALUE, "/data/train/rows", 5, None)]),
    "a split with blanks": (at_line_7("data.ood", '"my blogs" = "b.csv"'), [(VALUE, "/data/ood/my blogs", 7, None)]),
    "a hub name with blanks": (at_line_7("data.ood", 'blogs = {hub = "a b"}'),
        [(VALUE, "/data/ood/blogs/hub", 7, None)]),
    "two places": (HEAD.replace('"a.csv"', '{path = "a.csv", hub = "x/y"}'), [(CONFLICT, "/data/train", 5, None)]),
    "no place": (HEAD.replace('"a.csv"', '{rows = "1-2"}'), [(CONFLICT, "/data/train", 5, None)]),
    "rows backwards": (HEAD.replace('"a.csv"', '{path = "a.csv", rows = "5-2"}'), [(CONFLICT, "/data/train", 5, None)]),
    "a falling learning curve": (f"{HEAD}label_budget = [8, 4]\n", [(CONFLICT, "/data/label_budget", 6, None)]),
    "a taken name": (at_line_7("data.ood", 'test = "t.csv"'), [(CONFLICT, "/data/ood", 6, None)]),
    "two models": (at_line_7("model", 'name = "a/b"\npath = "c"'), [(CONFLICT, "/model", 6, None)]),
    "in and out": (at_line_7("methods", 'include = ["tfidf"]\nexclude = ["tfidf"]'), [(CONFLICT, "/methods", 6, None)]),
    "steps and epochs": (at_line_7("methods.pin", "steps = 3\nepochs = 2"), [(CONFLICT, "/methods/pin", 6, None)]),
    "a later task": (HEAD.replace('"classification"', '"regression"'), [(LATER, "/task/type", 3, None)]),
    "a task in American English": (HEAD.replace('"classification"', '"summarization"'),
        [(VALUE, "/task/type", 3, "summarisation")]),
    "a later table": (at_line_7("quantization", 'from = "x"'), [(LATER, "/quantization", 6, None)]),
    "a later method": (at_line_7("methods", 'include = ["pattern+unipelt"]'), [(LATER, "/methods/include/0", 7, None)]),
    "many": (MANY, [
        ("E-version", "/spec_version", 1, None), (UNKNOWN, "/nme", 2, "name"),
        (VALUE, "/task/type", 4, "classification"), (MISSING, "/data", 5, None),
        (VALUE, "/constraints/wall_time", 7, "5 h"), (UNKNOWN, "/constraints/trails", 8, "trials")]),
}  # fmt: skip


def refused(text: str) -> tuple[Diagnostic, ...]:
    """What is said against a document."""
    with pytest.raises(SpecError) as error:
        load(text.encode(), format="toml")
    return error.value.diagnostics


def tree_of(text: str) -> dict[str, Any]:
    """The document as plain values."""
    document = parse(text.encode(), "toml")
    assert isinstance(document, Document)
    return document.tree


@pytest.mark.parametrize("title", TABLE)
def test_each_fault_has_its_code_and_place(title: str) -> None:
    text, wanted = TABLE[title]
    found = [(one.code, one.pointer, one.line, one.nearest) for one in refused(text)]
    assert Counter(found) == Counter(wanted)


@pytest.mark.parametrize("title", TABLE)
def test_each_fault_says_enough(title: str) -> None:
    for one in refused(TABLE[title][0]):
        assert one.code in CODES
        assert one.severity == "error"
        assert one.column is not None
        assert len(one.message) >= 15
        assert one.remedy or one.nearest or one.expected or one.code == CONFLICT
        assert "\n" not in one.message


@pytest.mark.parametrize("title", TABLE)
def test_a_fix_mends_more_than_it_breaks(title: str) -> None:
    text, wanted = TABLE[title]
    for one in refused(text):
        for fix in one.fixes:
            patched = apply_patches(tree_of(text), fix.patches)
            left = findings(patched)
            assert len(left) < len(wanted), fix.title
            assert one.pointer not in {other.pointer for other in left if other.code == one.code and one.pointer}


def findings(tree: dict[str, Any]) -> tuple[Diagnostic, ...]:
    """What is said against a document."""
    return examine(json.dumps(tree).encode(), "json").found


def leaves(tree: Any) -> Counter[str]:
    """Every value that somebody wrote, wherever it stands."""
    if isinstance(tree, dict):
        return sum((leaves(value) for value in tree.values()), Counter[str]())
    if isinstance(tree, list):
        return sum((leaves(value) for value in tree), Counter[str]())
    return Counter([repr(tree)])


@pytest.mark.parametrize("title", TABLE)
def test_a_fix_keeps_what_was_written(title: str) -> None:
    """What is applied without asking moves or adds; only a wrong value is replaced."""
    text, _ = TABLE[title]
    for one in refused(text):
        for fix in one.fixes:
            if fix.applicability == "choose":
                continue
            before = leaves(tree_of(text))
            after = leaves(apply_patches(tree_of(text), fix.patches))
            lost = before - after
            if one.code in (VALUE, "E-version", CONFLICT):
                assert not lost - leaves([lookup(tree_of(text), one.pointer)]), fix.title
            else:
                assert not lost, fix.title


FIXED = [title for title, (_, wanted) in TABLE.items() if any(nearest for *_, nearest in wanted)]
UNFIXED = {"a key of another table that has it", "a misspelled key of a budget"}
"""The move would take the place of what stands there."""


@pytest.mark.parametrize("title", FIXED)
def test_a_near_name_comes_with_a_fix(title: str) -> None:
    for one in refused(TABLE[title][0]):
        if one.nearest:
            sure = [fix for fix in one.fixes if fix.applicability != "choose"]
            assert bool(sure) is (title not in UNFIXED)


def test_a_fix_of_each_kind_gives_a_sound_spec() -> None:
    for title in (
        "a misspelled key",
        "a misspelled table",
        "a misspelled word",
        "a misspelled key of an arm",
        "a misspelled budget",
    ):
        (one,) = refused(TABLE[title][0])
        fix, *_ = one.fixes
        Experiment.model_validate(apply_patches(tree_of(TABLE[title][0]), fix.patches))


def test_a_fix_that_adds_a_table_adds_an_empty_one() -> None:
    (one,) = refused(TABLE["a key of another table"][0])
    fix, *_ = one.fixes
    assert [(patch.op, patch.path) for patch in fix.patches] == [
        ("test", "/data/wall_time"),
        ("add", "/constraints"),
        ("move", "/constraints/wall_time"),
    ]
    assert fix.patches[1].value == {}


def test_a_misspelled_version_is_one_fault() -> None:
    (one,) = refused(TABLE["a misspelled root key"][0])
    assert [(fix.title, fix.applicability) for fix in one.fixes[:1]] == [("write spec_version", "likely")]


def test_a_missing_version_is_added() -> None:
    (one,) = refused(HEAD.partition("\n")[2])
    assert [(fix.title, fix.applicability) for fix in one.fixes] == [("add spec_version = 1", "safe")]


@pytest.mark.parametrize("name", later.TASKS)
def test_later_tasks(name: str) -> None:
    (one,) = refused(HEAD.replace('"classification"', f'"{name}"'))
    assert (one.code, one.pointer) == (LATER, "/task/type")
    assert later.TASKS[name] in one.message


@pytest.mark.parametrize("name", later.KEYS)
def test_later_tables(name: str) -> None:
    (one,) = refused(at_line_7(name, 'x = "y"'))
    assert (one.code, one.pointer) == (LATER, f"/{name}")


@pytest.mark.parametrize("name", later.METHODS)
@pytest.mark.parametrize("prefix", ["", "pattern+", "head+"])
def test_later_methods(name: str, prefix: str) -> None:
    for line in (f'include = ["{prefix}{name}"]', f'arms = [{{method = "{prefix}{name}"}}]'):
        (one,) = refused(at_line_7("methods", line))
        assert one.code == LATER


def test_faults_stand_in_the_order_of_the_errors() -> None:
    severities = [one.severity for one in refused(TABLE["many"][0])]
    assert severities == ["error"] * 6


def test_a_long_value_is_shortened() -> None:
    (one,) = refused(HEAD.replace('"classification"', f'"{"x" * 500}"'))
    assert one.got is not None
    assert len(one.got) <= 60
    assert len(one.message) < 250


def test_more_faults_than_anybody_reads() -> None:
    """The first are named; none of so many is mended on its own, and of many only as long as trials are cheap."""
    keys = "\n".join(f"rank{number} = 1" for number in range(MOST + 1))
    assert len(refused(at_line_7("methods.pin", keys))) == MOST
    assert not any(one.fixes for one in refused(at_line_7("methods.pin", keys)))
    fewer = refused(at_line_7("methods.pin", keys.rpartition("\n")[0]))
    assert len(fewer) == MOST
    assert sum(bool(one.fixes) for one in fewer) >= 10


def test_a_sound_document_has_no_findings() -> None:
    assert findings(tree_of(HEAD)) == ()


@pytest.mark.parametrize("budget", ["{}", "{per_clas = 3}"])
def test_a_budget_without_its_key(budget: str) -> None:
    for one in refused(f"{HEAD}label_budget = {budget}\n"):
        assert "PerClass" not in one.message
        assert one.expected in (None, "per_class")


PYTHONIC = [
    "a source that is a number", "a table that is a word", "a number in quotes", "an empty list", "one label",
    "a word for a number", "rows in words", "a split with blanks", "no label", "a confidence in per cent",
    "a number out of range", "one fold",
]  # fmt: skip


@pytest.mark.parametrize("title", PYTHONIC)
def test_a_message_is_about_the_document(title: str) -> None:
    """Not about classes, tuples, regular expressions or what a validator made of a value."""
    for one in refused(TABLE[title][0]):
        for word in ("tuple", "instance of", "after validation", "match pattern", "dictionary", "than or equal", "',)"):
            assert word not in one.message


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (HEAD.replace('"classification"', '"pair-classification"') + 'text = "t"\n', "/data/text"),
        (f'{HEAD}premise = "t"\n', "/data/premise"),
    ],
)
def test_a_column_of_another_task_is_pointed_at(text: str, pointer: str) -> None:
    (one,) = refused(text)
    assert (one.code, one.pointer, one.line) == (CONFLICT, pointer, 6)


@pytest.mark.parametrize(
    ("key", "home"), [("rank", "/methods/pin/rank"), ("learning_rate", "/methods/pin/learning_rate")]
)
def test_a_pin_in_the_wrong_table_is_sent_home(key: str, home: str) -> None:
    (one,) = refused(f"{HEAD}{key} = 1\n")
    assert one.nearest == home


def test_an_entry_of_a_list_is_named_with_its_list() -> None:
    (one,) = refused(TABLE["a word in a list of numbers"][0])
    assert one.message == "rank/1: expected a whole number, got 'x'"


def test_a_label_that_is_given_twice() -> None:
    (one,) = refused(HEAD.replace("[data]", 'labels = ["cost", "cost"]\n[data]'))
    assert (one.code, one.pointer, one.line) == (CONFLICT, "/task/labels", 4)
