"""What every trial takes and forgets, on every split, from one query; label noise and model size as axes."""

import re
from pathlib import Path
from typing import Any

import pytest
from project import LABELS, Project, make_project, write_csv
from tiny import tiny_model, tiny_rows

from fewtune.api.answers import results
from fewtune.api.pages.describing import page
from fewtune.api.querying import ask
from fewtune.api.using import predict_source
from fewtune.store.artefacts import Artefacts

METHODS = {"exclude": ["encoder", "in-context", "pattern+full"], "pin": {"steps": 6, "learning_rate": 5e-3}}
COSTS = "training_seconds, peak_memory_bytes, trainable_parameters, adapter_bytes, latency_ms, forgetting, probe_change"
BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)


def query(project: Project, text: str) -> list[dict[str, Any]]:
    answer, _ = ask(project.workspace, text, 10_000)
    return [dict(zip([column.name for column in answer.columns], row, strict=True)) for row in answer.rows]


def worked(topic: str) -> list[str]:
    """The queries of a page."""
    return BLOCK.findall(page(topic)["text"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("costs"), n=20, test=20, methods=METHODS)
    for name, seed in (("blogs", 8), ("mail", 9)):
        write_csv(made.folder / f"{name}.csv", tiny_rows(16, seed=seed))
    made.spec["data"] |= {"ood": {"blogs": "blogs.csv", "mail": "mail.csv"}, "label_noise": [0.0, 0.1, 0.5]}
    assert made.apply().state == "succeeded"
    return made


def test_each_trial_is_scored_on_each_named_split(project: Project) -> None:
    found = query(project, "SELECT trial, list(split ORDER BY split) AS splits FROM evaluations GROUP BY trial")
    assert len(found) == len(project.plan().compiled.plan.trials)
    assert all(row["splits"] == ["blogs", "mail", "test"] for row in found)


def test_one_query_of_the_page_gives_all(project: Project) -> None:
    """Every arm on every split, with every column that its kind has."""
    plan = project.plan().compiled.plan
    rows = query(project, worked("costs")[0])
    assert {(row["arm"], row["split"]) for row in rows} == {
        (arm.name, split) for arm in plan.arms for split in ("test", "blogs", "mail")
    }
    for row in rows:
        arm = plan.arm(row["arm"])
        assert row["latency_ms"] > 0
        assert (row["parameters"] > 0) is arm.trained
        assert (row["bytes"] > 0) is arm.seeded
        assert (row["seconds"] is not None) is arm.seeded
        for name in ("forgetting", "probe_change"):
            assert (row[name] is not None) is arm.trained
        if arm.trained:
            assert row["forgetting"] != 0
            assert row["peak_memory"] > 0
    wide = query(project, worked("costs")[1])
    assert {row["arm"] for row in wide} == {arm.name for arm in plan.arms}
    assert {"test", "blogs", "mail"} <= wide[0].keys()


def test_the_columns_are_what_was_measured(project: Project) -> None:
    """Bytes are the file's, seconds and parameters those of the fit, the latency that of the scored rows."""
    history, files = project.reader.history(), Artefacts(project.reader.workspace.artefacts)
    plan = project.plan().compiled
    parameters = {cost.arm: cost.trainable_parameters for cost in plan.estimate.arms}
    rows = {row["trial"]: row for row in query(project, f"SELECT trial, arm, {COSTS} FROM trials")}
    for trial in plan.plan.trials:
        row, stages = rows[trial.id], [stage for stage in plan.plan.stages if stage.trial == trial.id]
        assert row["trainable_parameters"] == parameters[trial.arm]
        scored = [history.evaluated[stage.fingerprint] for stage in stages if stage.kind == "evaluate"]
        seconds = sum(event.seconds + event.spared_seconds for event in scored)
        assert row["latency_ms"] == pytest.approx(1000 * seconds / sum(event.items for event in scored))
        for stage in stages:
            if stage.kind == "train":
                event = history.fitted[stage.fingerprint]
                assert event.artefact is not None
                assert row["adapter_bytes"] == len(files.read(event.artefact))
                assert row["training_seconds"] == event.seconds
                if event.general is not None:
                    lost = (event.general.loss or 0) - (event.general.loss_before or 0)
                    assert row["forgetting"] == pytest.approx(lost)


def test_features_that_were_read_before_count(project: Project) -> None:
    """The second trial of a probe reads nothing, and a row still takes a row's time."""
    found = query(project, "SELECT latency_ms FROM trials WHERE method = 'probe'")
    times = [row["latency_ms"] for row in found]
    assert len(times) > 2
    assert max(times) < 3 * min(times)


def test_results_show_them(project: Project) -> None:
    shown = project.cli("results").stdout
    assert "What it takes at n = 20" in shown
    found = results(project.workspace)
    assert found.burdens.keys() == {row.arm for row in found.board}
    assert [burden["arm"] for burden in found.data()["burdens"]] == list(found.burdens)


def test_noise_is_in_rows_of_its_own_and_not_in_the_verdict(project: Project) -> None:
    plan = project.plan().compiled.plan
    noisy = {arm.name for arm in plan.arms if arm.label_noise}
    found = results(project.workspace)
    assert noisy <= {row.arm for row in found.board}
    assert found.verdict is not None
    assert "noise" not in found.verdict.sentence.replace("within the noise", "")
    assert found.verdict.chosen not in noisy
    rows = query(project, "SELECT experiment, metric, split, n, arm, count(*) AS rows FROM leaderboard GROUP BY ALL")
    assert {row["rows"] for row in rows} == {1}
    shares = query(project, worked("label-noise")[0])
    assert {row["label_noise"] for row in shares if row["method"] == "pattern+lora"} == {0.0, 0.1, 0.5}
    assert all(row["trials"] == 2 for row in shares)


def test_noise_runs_to_a_prediction(project: Project) -> None:
    source = str(project.folder / "test.csv")
    own = predict_source(project.workspace, source)
    noisy = predict_source(project.workspace, source, arm="TF-IDF + logistic regression, 50 % noise")
    assert len(own.labels) == len(noisy.labels) == 20
    assert set(own.labels) | set(noisy.labels) <= set(LABELS)


def test_wrong_labels_are_learnt(tmp_path: Path) -> None:
    """With two labels and all of them turned, what was right is wrong: accuracies add up to one."""
    made = make_project(tmp_path, n=16, methods={"arms": [{"method": "tfidf"}], "pin": {}, "exclude": []})
    for name, count, seed in (("train", 48, 1), ("test", 40, 2)):
        write_csv(tmp_path / f"{name}.csv", tiny_rows(count, labels=LABELS[:2], seed=seed))
    made.spec["data"]["label_noise"] = 1.0
    assert made.apply().state == "succeeded"
    text = (
        "SELECT label_noise, data_seed, accuracy FROM evaluations JOIN trials USING (experiment, run, trial, data_seed)"
    )
    found = {(row["label_noise"], row["data_seed"]): row["accuracy"] for row in query(made, text)}
    for seed in (0, 1):
        assert found[0.0, seed] > 0.6
        assert found[0.0, seed] + found[1.0, seed] == pytest.approx(1.0)


def test_a_second_apply_starts_nothing(project: Project) -> None:
    before = sum(project.attempts().values())
    assert project.apply().state == "succeeded"
    assert sum(project.attempts().values()) == before


def test_two_models_in_one_workspace_are_one_table(tmp_path: Path) -> None:
    """The page's queries, with a spec for each model and the same examples."""
    made = make_project(tmp_path, n=16, methods=METHODS | {"include": ["pattern+lora"]})
    tiny_model(tmp_path / "larger", architecture="qwen2", seed=3)
    for name, folder in (("toy, small", "model"), ("toy, large", "larger")):
        made.spec |= {"name": name, "model": {"path": folder}}
        assert made.apply().state == "succeeded"
    board, trials = (query(made, text) for text in worked("model-size"))
    sizes = {row["model"]: row["model_parameters"] for row in board}
    assert sizes.keys() == {"model", "larger"}
    assert sizes["larger"] > sizes["model"]
    for rows in (board, trials):
        by_model = [{(row["method"], row["split"], row["n"]) for row in rows if row["model"] == name} for name in sizes]
        assert by_model[0] == by_model[1]
    drawn: dict[str, set[str]] = {}
    for run in made.reader.runs():
        plan = made.reader.plan_of(run.id).plan
        drawn[plan.facts.model] = {sample.content for sample in plan.samples}
    assert drawn["model"] == drawn["larger"]
