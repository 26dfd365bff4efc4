"""Tasks whose answer is a text, from the spec to the answer: plan, apply, results, compare, sql, predict, export."""

import csv
import json
from pathlib import Path
from typing import Any

import preloaded
import pytest
from project import Project, fewtune
from tiny import LABELS, tiny_model, tiny_rows

from fewtune.api.answers import results
from fewtune.api.comparing import compare_arms
from fewtune.api.querying import ask
from fewtune.api.using import export_folder, predict_source
from fewtune.specs.diagnostic import FewtuneError
from fewtune.store.text_metrics import rouge_l

ROOT = Path(__file__).resolve().parents[2]
CHEAP = {"include": ["generate+lora"], "exclude": ["generate+full"], "pin": {"steps": 12, "learning_rate": 1e-2}}


def write_rows(path: Path, count: int, seed: int) -> None:
    """Texts of which the target says the topic."""
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["report", "summary"])
        for row in tiny_rows(count, seed=seed):
            writer.writerow([f"{row.fields['text']}. says people", f"a report on {LABELS[row.label]}"])


def make_writing(folder: Path, *, test: int = 12, n: int = 16, **tables: Any) -> Project:
    tiny_model(folder / "model")
    write_rows(folder / "train.csv", 32, seed=1)
    data: dict[str, Any] = {"train": "train.csv", "label_budget": n}
    if test:
        write_rows(folder / "test.csv", test, seed=2)
        data["test"] = "test.csv"
    spec = {
        "spec_version": 1, "name": "gist", "task": {"type": "summarisation"}, "data": data,
        "model": {"path": "model"}, "evaluation": {"data_seeds": 2}, "methods": CHEAP,
    }  # fmt: skip
    return Project(folder, {**spec, **tables})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_writing(tmp_path_factory.mktemp("writing"))
    assert made.apply().state == "succeeded"
    return made


def query(project: Project, text: str) -> list[list[Any]]:
    return [list(row) for row in ask(project.workspace, text, 10_000)[0].rows]


def test_columns_and_metric_are_found(project: Project) -> None:
    plan = project.plan().plan
    assert plan.facts.columns == {"text": "report", "target": "summary"}
    assert plan.metric == "rouge_l"
    assert plan.labels == ()
    assert plan.verbalizer is None
    assert [arm.method for arm in plan.arms] == ["lead", "zero-shot", "in-context", "generate+lora"]


def test_results_are_of_texts(project: Project) -> None:
    found = results(project.workspace)
    assert found.verdict is not None
    assert found.verdict.chosen == "generate + LoRA r=8"
    assert {row.arm for row in found.board} == {arm.name for arm in project.plan().plan.arms}
    metrics = query(project, "SELECT DISTINCT metric FROM leaderboard ORDER BY 1")
    assert metrics == [["exact_match"], ["rouge_l"], ["token_f1"]]
    best = next(row for row in found.board if row.chosen)
    means = query(
        project, f"SELECT avg(rouge_l), count(*) FROM evaluations WHERE arm = '{best.arm}' AND split = 'test'"
    )
    assert means == [[pytest.approx(best.mean), 2]]


def test_predictions_show_texts_with_their_scores(project: Project) -> None:
    rows = query(project, "SELECT text, target, rouge_l, label, correct FROM predictions WHERE split = 'test'")
    assert len(rows) == 12 * (1 + 1 + 2 + 2)
    for text, target, score, label, correct in rows:
        assert target.startswith("a report on ")
        assert score == pytest.approx(rouge_l(text, target))
        assert label is None
        assert correct is None
    lead = query(project, "SELECT DISTINCT text FROM predictions WHERE arm = 'first sentence'")
    assert all(text.endswith(".") for (text,) in lead)


def test_arms_are_compared_by_items(project: Project) -> None:
    found = compare_arms(project.workspace, "generate + LoRA r=8", "first sentence", metric="token_f1")
    assert (found.metric, found.comparison.items) == ("token_f1", 12)
    with pytest.raises(FewtuneError, match="rouge_l"):
        compare_arms(project.workspace, "zero-shot", "first sentence", metric="accuracy")


def test_a_second_apply_starts_nothing_and_a_new_target_scores_again(tmp_path: Path) -> None:
    made = make_writing(tmp_path)
    made.apply()
    assert made.apply().started == 0
    rows = made.rows("test.csv")
    rows[1][1] = "a report on something else"
    made.write("test.csv", rows)
    kinds = {stage.split("/")[0] for stage in made.plan().changes.stages}
    assert kinds == {"evaluate"}


def test_cross_validation_scores_every_row_once(tmp_path: Path) -> None:
    made = make_writing(tmp_path, test=0, n=16, evaluation={"data_seeds": 2, "folds": 2})
    assert made.apply().state == "succeeded"
    (row,) = [row for row in results(made.workspace).board if row.chosen]
    assert (row.split, row.items) == ("cv", 32)


def test_validation_chooses_by_the_metric_of_texts(tmp_path: Path) -> None:
    held = {"data_seeds": 1, "validation": "held-out", "validation_fraction": 0.25}
    made = make_writing(tmp_path, evaluation=held)
    assert made.apply().state == "succeeded"
    selected = made.reader.selection_of(made.reader.runs()[-1].id)
    assert selected is not None
    assert (selected.gate, selected.metric) == ("best-validation", "rouge_l")
    assert {score.arm for score in selected.scores} >= {"first sentence", "generate + LoRA r=8"}
    names = query(made, "SELECT DISTINCT name FROM metrics WHERE name <> 'train_loss'")
    assert names == [["validation_rouge_l"]]


@pytest.mark.parametrize("merged", [False, True])
def test_predict_and_the_exported_script_write_the_same(project: Project, merged: bool, tmp_path: Path) -> None:
    found = predict_source(project.workspace, str(project.folder / "test.csv"), precision="fp32")
    assert found.columns(probabilities=True) == ["report", "prediction"]
    texts = [row[-1] for row in found.rows(probabilities=True)]
    assert len(texts) == 12
    assert any(texts)
    folder = tmp_path / "model"
    made = export_folder(project.workspace, folder, merged=merged)
    assert "predict.py" in made["files"]
    assert len((folder / "predict.py").read_text().splitlines()) <= 40
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert "rouge_l" in card
    lines = "".join(json.dumps({"text": row["text"]}) + "\n" for row in found.inputs)
    base = [] if merged else [project.folder / "model"]
    done = preloaded.run("predict.py", *base, alone=True, cwd=folder, stdin=lines)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == texts


def test_predict_from_the_command_line(project: Project) -> None:
    done = project.cli("predict", "-", "--format", "jsonl", stdin="the coach says\n")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line).keys() == {"report", "prediction"}


@pytest.mark.parametrize(
    ("header", "task", "columns"),
    [
        (["report", "summary"], "summarisation", {"text": "report", "target": "summary"}),
        (["context", "question", "answer"], "question-answering",
         {"context": "context", "question": "question", "target": "answer"}),
        (["question", "answer"], "question-answering", {"question": "question", "target": "answer"}),
        (["prompt", "response"], "generation", {"text": "prompt", "target": "response"}),
    ],
)  # fmt: skip
def test_init_guesses_the_task(header: list[str], task: str, columns: dict[str, str], tmp_path: Path) -> None:
    rows = [header, *([f"{name} number {row} of many, said at length" for name in header] for row in range(30))]
    with (tmp_path / "data.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    done = fewtune("init", "data.csv", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "data.toml").read_text()
    assert f'type = "{task}"' in text
    for field, column in columns.items():
        assert f'{field} = "{column}"' in text


@pytest.mark.parametrize("name", ["report_summaries", "finance_questions"])
def test_the_examples_run_on_a_slice(name: str, tmp_path: Path) -> None:
    import tomllib

    examples = ROOT / "examples"
    spec = tomllib.loads((examples / f"{name}.toml").read_text())
    tiny_model(tmp_path / "model")
    for split in ("train", "test"):
        source = examples / spec["data"][split]
        with source.open(newline="") as handle:
            rows = list(csv.reader(handle))
        target = tmp_path / spec["data"][split]
        target.parent.mkdir(exist_ok=True)
        with target.open("w", newline="") as handle:
            csv.writer(handle).writerows(rows[:9])
    spec["data"]["label_budget"] = 8
    spec |= {"model": {"path": "model"}, "evaluation": {"data_seeds": 2}, "methods": CHEAP}
    spec["methods"] = {**CHEAP, "exclude": ["generate+full", "in-context"], "pin": {"steps": 2}}
    made = Project(tmp_path, spec)
    assert made.apply().state == "succeeded"
    assert results(made.workspace).verdict is not None
