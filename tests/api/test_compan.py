"""The corrected CompAn: every spec of the folder is read, and the laptop's are planned on data of the same layout."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fewtune.api.session import plan_spec
from fewtune.specs.load import load_file

COMPAN = Path(__file__).parents[2] / "examples" / "compan"
ARMS = {"vanilla", "PBFT", "adaptive", "LoRA, r=1", "LoRA, r=8", "LoRA, r=64", "context distillation",
        "few-shot distillation"}  # fmt: skip
WORDS = ("cats", "dogs", "boats", "trees", "letters", "songs", "rivers", "stones", "lamps", "clouds")


def sentence(source: random.Random, number: int) -> str:
    return f"{' '.join(source.sample(WORDS, 4))} {number}"


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def cola(folder: Path) -> None:
    source = random.Random(0)
    for part, count in {"train": 8551, "validation": 527, "ood": 516}.items():
        labels = ("acceptable", "acceptable", "unacceptable")
        rows = [{"sentence": sentence(source, n), "label": labels[n % 3]} for n in range(count)]
        write(folder / "cola" / f"{part}.jsonl", rows)


def sick(folder: Path) -> None:
    """A third of the hypotheses have no word that their premise lacks."""
    source = random.Random(1)
    for part, count in {"train": 6500, "validation": 495, "test": 1500}.items():
        rows = []
        for n in range(count):
            premise = sentence(source, n)
            hypothesis = " ".join(premise.split()[::-1]) if n % 3 == 0 else sentence(source, n) + " new"
            label = ("entailment", "neutral", "contradiction")[source.randrange(3)]
            rows.append({"premise": premise, "hypothesis": hypothesis, "label": label})
        write(folder / "whole" / f"{part}.jsonl", rows)
    command = [sys.executable, str(COMPAN / "split_sick.py"), str(folder / "whole"), str(folder / "sick")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "overlap: 200 pairs" in said


@pytest.mark.parametrize(("name", "data", "classes"), [("cola", cola, 2), ("sick", sick, 3)])
def test_the_laptop_has_eight_arms_three_sizes_and_three_seeds(
    name: str, data: Callable[[Path], None], classes: int, tmp_path: Path
) -> None:
    data(tmp_path)
    (tmp_path / f"{name}.toml").write_text((COMPAN / f"{name}.toml").read_text())
    plan = plan_spec(tmp_path / f"{name}.toml", tmp_path / ".fewtune").plan
    trained = [arm for arm in plan.arms if arm.role == "candidate"]
    assert {arm.name for arm in trained} == ARMS
    trials = [trial for trial in plan.trials if trial.arm in ARMS]
    assert {trial.n for trial in trials} == {2 * classes, 16 * classes, 64 * classes}
    assert len(trials) == 8 * 3 * 3
    drawn = {(sample.n, sample.data_seed): sample.content for sample in plan.samples}
    assert len(set(drawn.values())) == len(drawn) == 9
    assert all(recipe.steps == 40 for arm in trained for recipe in arm.recipes)
    assert len(set(plan.facts.rows) - {"train", "test", "unlabelled"}) == 1


def test_overlap_is_half_entailed_and_never_trained_on(tmp_path: Path) -> None:
    sick(tmp_path)
    parts = {part: [json.loads(line) for line in (tmp_path / "sick" / f"{part}.jsonl").read_text().splitlines()]
             for part in ("train", "validation", "overlap")}  # fmt: skip
    assert sum(row["label"] == "entailment" for row in parts["overlap"]) == 100
    held = [set(row["hypothesis"].split()) <= set(row["premise"].split()) for row in parts["overlap"]]
    assert all(held)
    for part in ("train", "validation"):
        assert not any(set(row["hypothesis"].split()) <= set(row["premise"].split()) for row in parts[part])


@pytest.mark.parametrize("path", sorted(COMPAN.glob("opt_*.toml")), ids=lambda path: path.stem)
def test_the_papers_own_models_and_data_are_named(path: Path) -> None:
    experiment = load_file(path).experiment
    assert experiment.model.name == "facebook/opt-125m"
    assert all(source.hub for source in experiment.data.splits.values())
    named = {arm.name for arm in experiment.methods.arms}
    assert {"vanilla", "PBFT", "adaptive", "LoRA", "context distillation", "few-shot distillation"} <= named
