"""Preferences, from the spec to the answer: plan, apply, results, compare, sql, predict, export, init."""

import csv
import json
from pathlib import Path
from typing import Any

import preloaded
import pytest
from project import Project, fewtune
from tiny import tiny_model, tiny_rows

from fewtune.api.answers import results
from fewtune.api.comparing import compare_arms
from fewtune.api.querying import ask
from fewtune.api.using import export_folder, predict_source
from fewtune.specs.diagnostic import FewtuneError, PlanError

ROOT = Path(__file__).resolve().parents[2]
GOOD, BAD = ("people says yes", "with people in", "a new report"), ("goal coach league long", "bank shares long talks")


def write_rows(path: Path, count: int, seed: int, *, signals: bool = False) -> None:
    """Prompts with a short text of plain words, and one of others; or with either and whether it was liked."""
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["prompt", "completion", "desirable"] if signals else ["prompt", "chosen", "rejected"])
        for place, row in enumerate(tiny_rows(count, seed=seed)):
            good, bad = GOOD[place % 3], BAD[place % 2]
            liked = place % 3 > 0
            judged = [good if liked else bad, str(liked).lower()] if signals else [good, bad]
            writer.writerow([row.fields["text"], *judged])


def make_preferring(folder: Path, *, signals: bool = False, test: int = 10, n: int = 16, **tables: Any) -> Project:
    tiny_model(folder / "model")
    write_rows(folder / "train.csv", 24, seed=1, signals=signals)
    data: dict[str, Any] = {"train": "train.csv", "label_budget": n}
    if test:
        write_rows(folder / "test.csv", test, seed=2, signals=signals)
        data["test"] = "test.csv"
    spec = {
        "spec_version": 1, "name": "taste", "task": {"type": "preference"}, "data": data, "model": {"path": "model"},
        "evaluation": {"data_seeds": 2}, "methods": {"pin": {"steps": 10, "learning_rate": 1e-2}},
    }  # fmt: skip
    return Project(folder, {**spec, **tables})


DPO = "dpo + LoRA r=8"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    methods = {"include": ["simpo+lora", "kto+lora"], "pin": {"steps": 10, "learning_rate": 1e-2}}
    made = make_preferring(tmp_path_factory.mktemp("preferring"), methods=methods)
    assert made.apply().state == "succeeded"
    return made


def query(project: Project, text: str) -> list[list[Any]]:
    return [list(row) for row in ask(project.workspace, text, 10_000)[0].rows]


def test_columns_arms_and_metric_are_found(project: Project) -> None:
    plan = project.plan().plan
    assert plan.facts.columns == {"text": "prompt", "target": "chosen", "rejected": "rejected"}
    assert plan.facts.fields == {"text": "prompt"}
    assert plan.metric == "preference_accuracy"
    methods = ["zero-shot", "generate+lora", "dpo+lora", "orpo+lora", "kto+lora", "simpo+lora"]
    assert [arm.method for arm in plan.arms] == methods
    assert [arm.objective for arm in plan.arms] == ["supervised"] * 2 + ["preference"] * 4


def test_every_way_learns_what_is_preferred(project: Project) -> None:
    board = {
        (arm, metric): (mean, low, high)
        for arm, metric, mean, low, high in query(
            project, "SELECT arm, metric, mean, ci_low, ci_high FROM leaderboard WHERE split = 'test'"
        )
    }
    assert {metric for _, metric in board} == {"preference_accuracy", "margin"}
    for arm in (arm.name for arm in project.plan().plan.arms if arm.trained):
        assert board[arm, "preference_accuracy"][0] >= 0.9
        mean, low, high = board[arm, "margin"]
        assert 0 < low < mean < high
    assert board["zero-shot", "margin"] == (0.0, pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))
    found = results(project.workspace)
    assert found.verdict is not None
    assert found.verdict.chosen == "generate + LoRA r=8"


def test_each_item_has_its_scores(project: Project) -> None:
    rows = query(
        project,
        "SELECT target, text, preference_accuracy, margin, label, rouge_l FROM predictions WHERE split = 'test'",
    )
    assert len(rows) == 10 * (1 + 5 * 2)
    for target, text, right, margin, label, rouge in rows:
        assert target in GOOD
        assert (text, label, rouge) == (None, None, None)
        assert right in (0.0, 0.5, 1.0)
        assert isinstance(margin, float)
    means = query(
        project,
        "SELECT e.margin, avg(p.margin) FROM evaluations e JOIN predictions p USING (trial, split) "
        "WHERE split = 'test' GROUP BY ALL",
    )
    assert all(stored == pytest.approx(mean) for stored, mean in means)


def test_arms_are_compared_by_the_margin(project: Project) -> None:
    found = compare_arms(project.workspace, "dpo + LoRA r=8", "zero-shot", metric="margin")
    assert (found.metric, found.comparison.items) == ("margin", 10)
    assert found.comparison.raw_low > 0, "before what a picked pair of two seeds costs"
    with pytest.raises(FewtuneError, match="preference_accuracy"):
        compare_arms(project.workspace, "dpo + LoRA r=8", "zero-shot", metric="rouge_l")


def test_a_second_apply_starts_nothing_and_another_worse_text_trains_again(tmp_path: Path) -> None:
    made = make_preferring(tmp_path, methods={"exclude": ["orpo+lora", "generate+lora"], "pin": {"steps": 2}})
    made.apply()
    assert made.apply().started == 0
    rows = made.rows("train.csv")
    for row in rows[1:]:
        row[2] = "goal goal goal"
    made.write("train.csv", rows)
    assert {stage.split("/")[0] for stage in made.plan().changes.stages} >= {"train"}


@pytest.mark.parametrize("merged", [False, True])
def test_predict_and_the_exported_script_write_the_same(project: Project, merged: bool, tmp_path: Path) -> None:
    found = predict_source(project.workspace, str(project.folder / "test.csv"), arm=DPO, precision="fp32")
    texts = [row[-1] for row in found.rows(probabilities=True)]
    assert len(texts) == 10
    assert any(texts)
    folder = tmp_path / "model"
    made = export_folder(project.workspace, folder, merged=merged, arm=DPO)
    assert "predict.py" in made["files"]
    card = (folder / "README.md").read_text()
    assert "preference_accuracy" in card
    assert "Pairs used: 16" in card
    assert "preferences by DPO (beta 0.1)" in card
    lines = "".join(json.dumps({"text": row["text"]}) + "\n" for row in found.inputs)
    base = [] if merged else [project.folder / "model"]
    done = preloaded.run("predict.py", *base, alone=True, cwd=folder, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == texts


def test_signals_teach_kto(tmp_path: Path) -> None:
    made = make_preferring(tmp_path, signals=True)
    plan = made.plan().plan
    assert plan.facts.columns == {"text": "prompt", "target": "completion", "label": "desirable"}
    assert [arm.method for arm in plan.arms] == ["zero-shot", "kto+lora"]
    assert made.apply().state == "succeeded"
    rows = query(made, "SELECT arm, mean FROM leaderboard WHERE split = 'test' AND metric = 'preference_accuracy'")
    scores = dict(map(tuple, rows))
    assert scores["zero-shot"] == 0.5
    assert scores["kto + LoRA r=8"] >= 0.9


def test_validation_rows_choose_by_preferences(tmp_path: Path) -> None:
    held = {"data_seeds": 1, "validation": "held-out", "validation_fraction": 0.25}
    made = make_preferring(tmp_path, evaluation=held, methods={"exclude": ["orpo+lora"], "pin": {"steps": 4}})
    assert made.apply().state == "succeeded"
    selected = made.reader.selection_of(made.reader.runs()[-1].id)
    assert selected is not None
    assert (selected.gate, selected.metric) == ("best-validation", "preference_accuracy")


def test_cross_validation_scores_every_pair_once(tmp_path: Path) -> None:
    made = make_preferring(
        tmp_path, test=0, n=12, evaluation={"data_seeds": 2, "folds": 2},
        methods={"arms": [{"method": "orpo+full", "steps": 2}]},
    )  # fmt: skip
    assert made.apply().state == "succeeded"
    (row,) = [row for row in results(made.workspace).board if row.chosen]
    assert (row.split, row.items) == ("cv", 24)


FAULTS: dict[str, tuple[list[list[str]], str, str]] = {
    "equal texts": ([["prompt", "chosen", "rejected"], ["a b", "x", "x"]], "E-value", "are the same in row 1"),
    "conversations": (
        [["prompt", "chosen", "rejected"], ["a b", '[{"role": "user", "content": "hi"}]', "x"]],
        "E-value", "lists of messages",
    ),
    "a signal of no known word": (
        [["prompt", "completion", "label"], ["a b", "x", "true"], ["c d", "y", "perhaps"]], "E-value", "neither yes",
    ),
    "one kind of signals": (
        [["prompt", "completion", "label"], ["a b", "x", "true"], ["c d", "y", "1"]], "E-one-class", "judged alike",
    ),
    "no worse text and no signal": ([["prompt", "chosen"], ["a b", "x"]], "E-column", "label"),
}  # fmt: skip


@pytest.mark.parametrize("title", FAULTS)
def test_bad_rows_are_refused(title: str, tmp_path: Path) -> None:
    rows, code, said = FAULTS[title]
    made = make_preferring(tmp_path, test=0)
    made.write("train.csv", rows)
    with pytest.raises(PlanError) as error:
        made.plan()
    assert any(one.code == code and said in one.message for one in error.value.diagnostics)


def test_methods_that_need_pairs_are_refused_without_them(tmp_path: Path) -> None:
    made = make_preferring(tmp_path, signals=True, methods={"include": ["dpo+lora"]})
    with pytest.raises(PlanError) as error:
        made.plan()
    assert ("E-conflict", "/methods/include/0") in {(one.code, one.pointer) for one in error.value.diagnostics}


def test_a_prompt_may_come_again_with_another_pair(tmp_path: Path) -> None:
    made = make_preferring(tmp_path, n=6)
    pairs = [["a b", "x y", "z"], ["a b", "x", "z z"], ["a b", "x y", "z"], *([f"c {n}", "x y", "z"] for n in range(4))]
    made.write("train.csv", [["prompt", "chosen", "rejected"], *pairs])
    plan = made.plan().plan
    assert plan.levels[-1].train == 6
    (warning,) = [one for one in plan.warnings if one.code == "W-duplicate-rows"]
    assert "rows 1, 3" in warning.message


@pytest.mark.parametrize(
    ("signals", "lines"),
    [
        (False, ['text = "prompt"', 'target = "chosen"', 'rejected = "rejected"']),
        (True, ['text = "prompt"', 'target = "completion"', 'label = "desirable"']),
    ],
)
def test_init_knows_preferences(signals: bool, lines: list[str], tmp_path: Path) -> None:
    write_rows(tmp_path / "data.csv", 24, seed=1, signals=signals)
    done = fewtune("init", "data.csv", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "data.toml").read_text()
    assert 'type = "preference"' in text
    assert set(lines) <= set(text.splitlines())


def test_the_example_runs_on_a_slice(tmp_path: Path) -> None:
    import tomllib

    examples = ROOT / "examples"
    spec = tomllib.loads((examples / "preference.toml").read_text())
    tiny_model(tmp_path / "model")
    for split in ("train", "test"):
        with (examples / spec["data"][split]).open(newline="") as handle:
            rows = list(csv.reader(handle))
        target = tmp_path / spec["data"][split]
        target.parent.mkdir(exist_ok=True)
        with target.open("w", newline="") as handle:
            csv.writer(handle).writerows(rows[:7])
    spec |= {"model": {"path": "model"}, "evaluation": {"data_seeds": 2}}
    spec["methods"] = {"exclude": ["orpo+lora", "generate+lora"], "pin": {"steps": 2}}
    made = Project(tmp_path, spec)
    assert made.apply().state == "succeeded"
    assert results(made.workspace).verdict is not None


def test_the_examples_pairs_are_distinct_and_apart() -> None:
    seen: dict[str, set[str]] = {}
    for split in ("train", "test"):
        with (ROOT / "examples" / "preference" / f"{split}.csv").open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        seen[split] = {row["prompt"] for row in rows}
        assert len(seen[split]) == len(rows) == {"train": 40, "test": 20}[split]
        assert all(row["chosen"] != row["rejected"] for row in rows)
    assert not seen["train"] & seen["test"]
