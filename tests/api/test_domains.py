"""The recipes for other domains and languages: their data, their plans, the page about them, and a run on a slice."""

import csv
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from project import Project
from tiny import tiny_model

from fewtune.api.pages.describing import pages
from fewtune.api.session import plan_spec
from fewtune.compiler.evidence import EVIDENCE
from fewtune.compiler.sample import pretrained_on

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPES = {"domain": (120, {0.0, 0.1}, set()), "cross_lingual": (95, {0.25}, {"german"})}
"""Example -> its texts without labels, its shares of replay, its out-of-domain splits."""


@pytest.mark.parametrize("name", RECIPES)
def test_the_plan_has_the_recipe_and_nothing_to_mind(name: str, tmp_path: Path) -> None:
    texts, shares, ood = RECIPES[name]
    planned = plan_spec(EXAMPLES / f"{name}.toml", tmp_path)
    assert planned.warnings == ()
    data = planned.probed.facts.data
    assert {split.name for split in data.ood} == ood
    tuned = [arm for arm in planned.plan.arms if arm.adaptation == "lora"]
    alone, *begun = [(arm, arm.recipes[0]) for arm in tuned]
    assert alone[1].pretraining_steps == 0
    assert {recipe.replay for _, recipe in begun} == shares
    same = {"pretraining_steps", "replay"}
    for _, recipe in begun:
        assert recipe.model_dump(exclude=same) == alone[1].model_dump(exclude=same)
        rows = pretrained_on(data, recipe)
        assert len(rows["unlabelled"]) == texts  # none is left out, and each is read
        assert ("replay" in rows) == (recipe.replay > 0)


def clauses(name: str) -> list[dict[str, str]]:
    with (EXAMPLES / name).open(newline="") as handle:
        return list(csv.DictReader(handle))


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def test_german_clauses_are_balanced_over_the_english_labels() -> None:
    counts = Counter(row["type"] for row in clauses("legal/german.csv"))
    assert counts.keys() == {row["type"] for row in clauses("legal/train.csv")}
    assert set(counts.values()) == {11}


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("legal/unlabelled.csv", ["legal/train.csv", "legal/test.csv"]),
        ("legal/unlabelled_german.csv", ["legal/german.csv"]),
        ("legal/german.csv", ["legal/unlabelled_german.csv"]),
    ],
)
def test_no_clause_is_nearly_another(name: str, others: list[str]) -> None:
    """Two texts share less than half of their words."""
    own = [words(row["clause"]) for row in clauses(name)]
    foreign = [words(row["clause"]) for other in others for row in clauses(other)]
    for place, mine in enumerate(own):
        assert all(len(mine & other) < len(mine | other) / 2 for other in (*own[:place], *foreign)), mine


def test_replayed_sentences_are_not_those_that_forgetting_is_measured_on() -> None:
    general = tomllib.loads((EXAMPLES.parent / "runtime" / "embedded" / "general.toml").read_text())
    measured = [words(part) for text in general["paragraphs"] for part in text.split(".") if part.strip()]
    measured += [words(f"{opening} {right}") for opening, right, *_ in general["items"]]
    for row in clauses("general/sentences.csv"):
        mine = words(row["clause"])
        assert all(len(mine & other) < len(mine | other) / 2 for other in measured), row


def test_pages_name_rules_that_exist() -> None:
    named = {name: set(re.findall(r"R-\d{3}", text)) for name, text in pages().items()}
    assert {"R-083", "R-090", "R-139"} <= named["domains"]
    for name, rules in named.items():
        assert rules <= {row.id for row in EVIDENCE.values()}, name


def test_the_page_is_short_and_its_examples_are_there() -> None:
    lines = pages()["domains"].splitlines()
    assert len(lines) <= 35
    assert max(map(len, lines)) <= 120
    for example in RECIPES:
        assert any(f"{example}.toml" in line for line in lines)


def test_the_example_runs_on_a_slice(tmp_path: Path) -> None:
    spec = tomllib.loads((EXAMPLES / "cross_lingual.toml").read_text())
    tiny_model(tmp_path / "model")
    data = spec["data"]
    for source in (data["train"], data["test"], data["ood"]["german"], data["unlabelled"], data["replay"]):
        with (EXAMPLES / source).open(newline="") as handle:
            rows = list(csv.reader(handle))[:25]
        (tmp_path / "legal").mkdir(exist_ok=True)
        with (tmp_path / source).open("w", newline="") as handle:
            csv.writer(handle).writerows(rows)
    spec |= {"model": {"path": "model"}, "evaluation": {**spec["evaluation"], "data_seeds": 2}}
    spec["data"]["label_budget"] = 12
    spec["methods"] |= {"exclude": ["encoder", "probe", "in-context"], "pin": {"steps": 2}}
    made = Project(tmp_path, spec)
    assert made.apply().state == "succeeded", made.reporter.lines
    for arm in ("English labels", "German first"):
        scored = "SELECT DISTINCT split FROM evaluations JOIN trials USING (experiment, run, trial)"
        assert made.sql(f"{scored} WHERE trials.arm = '{arm}' ORDER BY split") == [["german"], ["test"]]
        (lost,) = made.sql(f"SELECT count(forgetting) FROM trials WHERE arm = '{arm}'")
        assert lost == [2]
