"""init on files as people have them: what is guessed, what is refused with a remedy, and that there is a plan."""

import csv
import json
import random
from pathlib import Path

import pytest

from fewtune.api.starting import Made, start
from fewtune.compiler import cost
from fewtune.specs.diagnostic import FewtuneError
from fewtune.specs.load import load_file

Rows = list[tuple[object, ...]]
WORDS = [
    "the",
    "clause",
    "ends",
    "a",
    "term",
    "of",
    "notice",
    "by",
    "either",
    "party",
    "after",
    "payment",
    "was",
    "late",
]


def text(dice: random.Random) -> str:
    return " ".join(dice.choice(WORDS) for _ in range(dice.randint(5, 15)))


def rows(kinds: str, count: int = 60, seed: int = 0) -> Rows:
    """Rows with a cell of each kind.

    Args:
        kinds: t texts, T long ones, l one of three labels, b yes or no, i ids, d dates, f decimals, e maybe a label, n
            whole numbers, m one of 600 labels, c always the same.
        count: how many rows.
        seed: of the cells.
    """
    dice = random.Random(f"{kinds}{seed}")
    made = {
        "t": lambda row: text(dice), "T": lambda row: " ".join(text(dice) for _ in range(8)),
        "l": lambda row: dice.choice(["one", "two", "three"]),
        "b": lambda row: dice.choice(["yes", "no"]), "i": lambda row: f"doc-{row}",
        "d": lambda row: f"2024-{row % 12 + 1:02d}-03", "f": lambda row: round(dice.random(), 4),
        "e": lambda row: dice.choice(["one", "two", ""]), "n": lambda row: dice.randint(1, 5),
        "m": lambda row: f"code {dice.randint(1, 600)}", "c": lambda row: "same",
    }  # fmt: skip
    return [tuple(made[kind](row) for kind in kinds) for row in range(count)]


def write(path: Path, header: str, found: Rows) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerows([header.split(",")] if header else [])
        writer.writerows(found)
    return path


def kinds_of(made: Made) -> dict[str, str]:
    return {one["name"]: one["kind"] for one in made.data()["columns"]}


@pytest.mark.parametrize(
    ("header", "kinds", "used", "seen"),
    [
        ("text,label", "tl", {"text": "text", "label": "label"}, ""),
        ("uid,body,sent,kind,score", "itdlf", {"text": "body", "label": "kind"}, "id text date label number"),
        ("id,txt,stars", "itn", {"text": "txt", "label": "stars"}, "id text label"),
        ("Text;Spam", "", {"text": "Text", "label": "Spam"}, ""),
        ("review,source,flag", "tcb", {"text": "review", "label": "flag"}, "text constant label"),
        ("premise,hypothesis,gold", "ttl", {"premise": "premise", "label": "gold"}, ""),
    ],
)
def test_columns_are_told_apart(header: str, kinds: str, used: dict[str, str], seen: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    if kinds:
        write(path, header, rows(kinds))
    else:
        path.write_text(header + "\n" + "".join(f"{one};{two}\n" for one, two in rows("tb")))
    made = start(path, None)
    roles = {one["role"]: one["name"] for one in made.data()["columns"] if one["role"]}
    assert used.items() <= roles.items()
    if seen:
        assert list(kinds_of(made).values()) == seen.split()
    assert load_file(made.path).experiment.data.label == used["label"]
    assert made.compiled is not None
    plan = made.data()["plan"]
    assert plan["trials"] == len(made.compiled.plan.trials)
    assert plan["seconds"]["low"] <= plan["seconds"]["mid"]
    assert len(json.dumps(made.data())) <= 8000


@pytest.mark.parametrize(
    ("header", "found", "code", "says", "remedy"),
    [
        ("", rows("tl"), "E-file-unreadable", "the first line looks like a row", "put a line of names before it"),
        ("a,b,c", rows("ttl"), "E-column", "a (60 values", "--text 'a,b'"),
        ("a,b,c", rows("tlb"), "E-column", "b (label, 3 values)", "--label 'b'"),
        ("words", rows("t"), "E-column", "no column is clearly the label", "few different values"),
        ("words,score", rows("tf"), "E-column", "score (number", "round them into a few classes"),
        ("text,label", rows("tc"), "E-one-class", "only 'same'", "--label"),
        ("text,label", rows("tm", 3000), "E-column", "different values", "--label"),
        ("text,label", [("good", "a"), ("bad", "b")], "E-too-few-rows", "one text only", "more rows"),
        ("text,label", [], "E-too-few-rows", "no rows", "some rows of each label"),
        ("text,data,label", [(t, '{"x": 1}', "") for (t,) in rows("t")], "E-one-class", "no value at all", "--label"),
    ],
)  # fmt: skip
def test_refusals_have_a_remedy_and_write_nothing(
    header: str, found: Rows, code: str, says: str, remedy: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "mine.csv", header, found)
    with pytest.raises(FewtuneError) as caught:
        start(path, None)
    first = caught.value.diagnostics[0]
    assert (first.code, first.line) == (code, None)
    assert says in first.message
    assert remedy in (first.remedy or "")
    assert all(one.remedy for one in caught.value.diagnostics if one.severity == "error")
    assert not (tmp_path / "mine.toml").exists()


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    made = start(write(tmp_path / "mine.csv", "text,label", rows("te")), None)
    assert "rows without a label are left out" in made.text
    assert made.compiled is not None
    empty = next(one["missing"] for one in made.data()["columns"] if one["name"] == "label")
    assert made.compiled.plan.facts.rows["train"] == 60 - empty < 60


def test_leaks_and_duplicates_are_named(tmp_path: Path) -> None:
    found = rows("tl")
    write(tmp_path / "train.csv", "text,label", [*found, found[0]])
    write(tmp_path / "test.csv", "text,label", [*found[:5], *rows("tl", 30, seed=1)])
    made = start(tmp_path / "train.csv", tmp_path / "spec.toml")
    assert 'test = "test.csv" # guessed by its name' in made.text
    assert {"W-duplicate-rows", "W-duplicate-across-splits"} <= {one.code for one in made.findings}


@pytest.mark.parametrize("with_test", [True, False])
def test_of_a_large_file_a_part_is_used_that_can_be_planned(
    with_test: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow processor; a fast one may have the time for all of them."""
    monkeypatch.setattr(cost, "CPU_RATES", dict.fromkeys(cost.CPU_RATES, (45.0, 70.0)))
    write(tmp_path / "train.csv", "text,label", rows("Tl", 3000))
    if with_test:
        write(tmp_path / "test.csv", "text,label", rows("Tl", 2000, seed=1))
    made = start(tmp_path / "train.csv", None)
    assert made.compiled is not None
    assert made.compiled.plan.facts.rows["test"] == 500
    assert made.compiled.plan.final_n == 128
    assert "all of them would take too long here" in made.text


def test_sorted_rows_are_not_cut_into_training_and_test(tmp_path: Path) -> None:
    found = sorted(rows("tl", 1500), key=lambda row: str(row[1]))
    made = start(write(tmp_path / "mine.csv", "text,label", found), None)
    assert "test =" not in made.text
    assert made.compiled is not None


def test_an_answer_stays_short_with_many_columns_and_labels(tmp_path: Path) -> None:
    names = [f"a rather long name of a column, number {number}" for number in range(200)]
    dice = random.Random(0)
    found: Rows = [
        (text(dice), f"label {row % 100}", *(dice.random() for _ in names)) for row in range(1000)
    ]  # fmt: skip
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["text", "label", *names], *found])
    made = start(path, None)
    assert len(json.dumps(made.data())) <= 8000
    assert made.data()["more_columns"] == 202 - 30
