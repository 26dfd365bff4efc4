"""Synthetic examples from spec to verdict: an endpoint, its recording, the gate, changed copies, the multiplier."""

import csv
import json
import random
from collections.abc import Callable, Iterator
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, chat_server
from messages import LABELS, TASK, message, written
from project import Project, Silent
from rich.console import Console
from tiny import tiny_model

from fewtune.api import absent
from fewtune.api.absent import unready
from fewtune.api.answers import results
from fewtune.api.checking import check
from fewtune.api.given import given
from fewtune.api.report.findings import find
from fewtune.api.report.page import page
from fewtune.api.running import How, apply
from fewtune.api.runs.permission import operators_notes
from fewtune.api.session import Planned
from fewtune.api.shows.results import show_results
from fewtune.runtime import choosing
from fewtune.runtime.augment import stage, synthesis
from fewtune.runtime.augment.stage import rows_of
from fewtune.runtime.augment.vectors import hashed_words
from fewtune.runtime.families import JobMaker, families
from fewtune.runtime.probe import writers
from fewtune.specs.diagnostic import Diagnostic, PlanError, RunError
from fewtune.store.query import run_sql
from fewtune.store.sandbox import Sandbox
from fewtune.store.workspace import Workspace

Ask = Callable[[Project, str], list[list[Any]]]
SETTINGS = {"quality_threshold": 0.3, "task_description": TASK, "factor": 2}


def rows(count: int, seed: int) -> list[list[str]]:
    source = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        label = LABELS[len(found) % len(LABELS)]
        found[message(label, source)] = label
    return [["text", "label"], *([text, label] for text, label in found.items())]


@pytest.fixture(autouse=True)
def _small_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashed words in the encoder's place: it need not be in the cache."""
    monkeypatch.setattr(stage, "embedded_vectors", lambda device: hashed_words)
    monkeypatch.setattr(writers, "encoder_is_ready", lambda: True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def project(tmp_path: Path, model: Path) -> Project:
    (tmp_path / "model").symlink_to(model)
    made = Project(tmp_path)
    for name, table in (("train.csv", rows(60, 1)), ("test.csv", rows(40, 2))):
        with (tmp_path / name).open("w", newline="") as handle:
            csv.writer(handle).writerows(table)
    made.spec = {
        "spec_version": 1, "name": "messages", "task": {"type": "classification"}, "model": {"path": "model"},
        "data": {"train": "train.csv", "test": "test.csv", "label_budget": [6, 18]},
        "evaluation": {"data_seeds": 2, "validation": "fixed-schedule"},
        "methods": {"exclude": ["encoder", "in-context", "probe", "head+lora", "pattern+full", "pattern+lora"]},
    }  # fmt: skip
    return made


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as kept:
        yield kept


@pytest.fixture
def ask(sandbox: Sandbox) -> Ask:
    """Rows of a query, all by one process."""
    return lambda project, query: [
        list(row) for row in run_sql(Workspace(project.workspace.absolute()), query, 5000, sandbox=sandbox).rows
    ]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(written) as running:
        yield running


def with_teacher(project: Project, **teacher: Any) -> None:
    project.spec["augmentation"] = {**SETTINGS, "teacher": {"model": "writer", **teacher}}


def test_from_an_endpoint_to_its_recording(project: Project, server: ChatServer, tmp_path: Path, ask: Ask) -> None:
    with_teacher(project, base_url=server.url)
    planned = project.plan().plan
    twins = {arm.name: arm.augmentation.twin for arm in planned.arms if arm.augmentation}
    assert all(name == f"{twin}, augmented" for name, twin in twins.items())
    assert {planned.arm(twin).formulation for twin in twins.values()} == {"tfidf"}
    applied = project.apply()
    assert applied.state == "succeeded"
    asked = server.answered
    made = ask(project, "SELECT n, data_seed, kept, written, opened, teacher_accuracy, calls FROM augmentations")
    assert sorted((n, seed) for n, seed, *_ in made) == [(n, seed) for n in (6, 18) for seed in (0, 1)]
    assert all(opened and kept > 0 and accuracy == 1.0 for _, _, kept, _, opened, accuracy, _ in made)
    calls = next((project.workspace / "teachers").glob("*.jsonl"))
    assert len(calls.read_text().splitlines()) == asked <= sum(used for *_, used in made)  # seeds of two samples, once
    sources = ask(project, "SELECT DISTINCT data_seed, text FROM augmented_examples WHERE kept")
    tests = {text for text, _ in project.rows("test.csv")[1:]}
    assert not {text for _, text in sources} & tests
    said = ask(project, "SELECT arm, n, says, multiplier IS NULL OR multiplier > 0 FROM effective_multiplier")
    assert {(arm, n) for arm, n, *_ in said} == {(arm, n) for arm in twins for n in (6, 18)}
    assert all(fine for *_, fine in said)
    told_everywhere(project)

    again = project.apply()
    assert again.started == 0
    assert server.answered == asked  # nothing is paid twice

    (tmp_path / "calls.jsonl").write_bytes(calls.read_bytes())
    with_teacher(project, recording="calls.jsonl")
    replayed = Project(tmp_path, project.spec)
    replayed.folder = tmp_path
    before = ask(project, "SELECT data_seed, n, text, label, kept FROM augmented_examples ORDER BY ALL")
    assert replayed.apply().state == "succeeded"
    assert server.answered == asked
    last = "SELECT max(run) FROM runs"
    after = ask(
        replayed, f"SELECT data_seed, n, text, label, kept FROM augmented_examples WHERE run = ({last}) ORDER BY ALL"
    )
    assert after == before


def told_everywhere(project: Project) -> None:
    """The results, their JSON and the report say what was made, left out, paid, gated and worth."""
    found = results(project.workspace)
    assert found.synthetic is not None
    events = [event for event in project.reader.history().augmented.values() if event.n == 18]
    one = next(one for one in found.synthetic.made if one.n == 18)
    assert (one.source, one.model, one.made, one.planned, one.asked) == ("teacher", "writer", 2, 2, 2 * 2 * 18)
    assert (one.kept, one.written) == (sum(e.kept for e in events), sum(e.written for e in events))
    assert one.written - one.kept == sum(one.rejected.values())
    assert one.tokens == sum(event.tokens for event in events) > 0
    opened = "the gate opened for 2 samples: the teacher labels 100% of the examples rightly, the student unasked "
    assert all(opened in said for said in found.synthetic.gates())
    assert found.synthetic.analysis[0].startswith("The 18 labelled examples (n = 18, data seed 0) have ")
    told = {(row.arm, row.n): row.says for row in found.synthetic.worth("test")}
    assert told
    data = json.loads(json.dumps(found.data()))["synthetic"]
    assert data["said_to_pass"] == "60 to 70 %"
    assert {(row["arm"], row["n"]): row["says"] for row in data["multipliers"]} == told
    written_to = StringIO()
    show_results(Console(file=written_to, width=400), found)
    shown, page_ = written_to.getvalue(), page(find(project.workspace))
    assert all(says in shown for says in told.values())
    for text in (*found.synthetic.analysis, *found.synthetic.gates(), "60 to 70 %", *one.rejected):
        assert text in shown
        assert escape(text) in page_


def test_an_arm_with_synthetic_examples_is_chosen_where_validation_says_so(
    project: Project, server: ChatServer
) -> None:
    with_teacher(project, base_url=server.url)
    project.spec["augmentation"]["factor"] = 6
    project.spec["data"]["label_budget"] = 18
    project.spec["evaluation"] = {"data_seeds": 2, "validation": "held-out", "validation_fraction": 0.5}
    applied = project.apply()
    assert applied.state == "succeeded"
    plan, reader = project.plan().plan, project.reader
    selection = reader.selection_of(reader.runs()[-1].id)
    assert selection is not None
    scores = {one.arm: one.value for one in selection.scores}
    twin = plan.arm(selection.arm).augmentation
    assert twin is not None
    assert scores[selection.arm] > scores[twin.twin]
    refit = next(stage for stage in plan.stages if stage.kind == "refit" and stage.arm == selection.arm)
    assert refit.fingerprint in reader.history().fitted
    assert any(row.chosen and row.arm == selection.arm for row in results(project.workspace).board)
    asked = server.answered
    assert project.apply().started == 0

    assert server.answered == asked

    event = reader.history().augmented[plan.stage_index[refit.needs[1]].fingerprint]
    rows = rows_of(reader.read(event.artefact))
    planned = project.plan()
    maker = JobMaker(planned.compiled, planned.probed.facts.data, {refit.needs[1]: rows})
    fit = maker.job(families(plan)[refit.id], (), fit=True, micro_batch=None, attempt=1).fit
    assert fit is not None
    assert (len(fit.train.rows), fit.train.added) == (18, rows)
    assert event.kept == len(rows) > 0


def test_a_teacher_that_knows_less_than_the_student_drops_the_arms(project: Project, ask: Ask) -> None:
    def guessing(request: dict[str, Any]) -> str:
        return '{"label": "complaint"}' if "enum" in str(request) else written(request)

    with chat_server(guessing) as server:
        with_teacher(project, base_url=server.url)
        assert project.apply().state == "succeeded"
    assert ask(project, "SELECT DISTINCT opened, kept, written FROM augmentations") == [[False, 0, 0]]
    statuses = dict(ask(project, "SELECT arm, max(state) FROM trials GROUP BY arm"))
    dropped = {arm for arm, status in statuses.items() if status == "dropped"}
    assert dropped == {arm.name for arm in project.plan().plan.arms if arm.augmentation}
    assert not ask(project, "SELECT * FROM leaderboard WHERE arm LIKE '%augmented'")
    assert any("the student unasked" in line for line in project.reporter.lines)
    found = results(project.workspace).synthetic
    assert found is not None
    assert all("stayed closed for all 2 samples, whose arms were dropped" in said for said in found.gates())
    assert not found.multipliers
    assert "stayed closed" in page(find(project.workspace))


@pytest.mark.full
def test_a_teacher_that_is_away_stops_its_arms_only_and_goes_on_later(
    project: Project, server: ChatServer, ask: Ask
) -> None:
    server.plan = [""] * 20 + ["unauthorised"] * 200
    with_teacher(project, base_url=server.url, concurrency=1)
    assert project.apply().state == "partial"
    paid = server.answered
    assert paid == 20
    done = {arm for (arm,) in ask(project, "SELECT DISTINCT arm FROM leaderboard")}
    assert {arm.name for arm in project.plan().plan.arms if not arm.augmentation} <= done
    server.plan = []
    assert project.apply().state == "succeeded"
    calls = next((project.workspace / "teachers").glob("*.jsonl"))
    assert server.answered == len(calls.read_text().splitlines())


@pytest.mark.full
def test_changed_copies_need_no_teacher(project: Project, ask: Ask) -> None:
    project.spec["augmentation"] = {"eda": True, "eda_copies": 3}
    assert project.apply().state == "succeeded"
    found = ask(project, "SELECT n, data_seed, origin, count(*) FROM augmented_examples WHERE kept GROUP BY ALL")
    assert {origin for _, _, origin, _ in found} >= {"swap", "delete"}
    arms = [arm.name for arm in project.plan().plan.arms]
    assert {arm for (arm,) in ask(project, "SELECT DISTINCT arm FROM leaderboard")} >= {
        name for name in arms if name.endswith(", EDA")
    }


def test_an_arm_without_any_synthetic_example_is_its_twin_and_is_not_chosen(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("train.csv", 60), ("test.csv", 40)):  # a word has no changed copy
        words = [(f"{name[:2]}{label}{place}", label) for place in range(count // 3) for label in LABELS]
        with (project.folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows([("text", "label"), *words])
    monkeypatch.setattr(synthesis, "neighbours", lambda texts, encode: {})
    project.spec["augmentation"] = {"eda": True}
    project.spec["data"]["label_budget"] = 30
    project.spec["evaluation"]["validation"] = "held-out"
    monkeypatch.setattr(choosing, "validation_scores", lambda plan, *more: {
        arm.name: 0.9 if arm.augmentation else 0.5 for arm in plan.arms
    })  # fmt: skip
    assert project.apply().state == "succeeded"
    found = results(project.workspace)
    assert found.synthetic is not None
    assert (
        "n = 30, eda: no synthetic example stayed for 2 of 2 samples: the arm is its twin once more, and is not "
        in (" ".join(found.synthetic.notes()))
    )
    (chosen,) = [event.arm for event in project.reader.history().selected.values()]
    plan = project.plan().plan
    assert any(gate for gate in plan.gates if any(plan.arm(name).augmentation for name in gate.arms))
    assert plan.arm(chosen).augmentation is None


def test_runs_share_a_data_set_and_it_is_counted_once(project: Project, ask: Ask) -> None:
    """Two runs of one experiment, and another experiment that has the same stage."""
    every = "SELECT experiment, data_seed, made_by, fingerprint FROM augmentations ORDER BY ALL"
    owners = "SELECT DISTINCT experiment, run FROM augmentations ORDER BY ALL"
    counts = "SELECT experiment, sum(written), sum(kept) FROM augmentations GROUP BY ALL ORDER BY ALL"
    listed = "SELECT experiment, count(*), sum(kept::INT) FROM augmented_examples GROUP BY ALL ORDER BY ALL"
    project.spec["augmentation"] = {"eda": True, "eda_copies": 3}
    project.spec["data"]["label_budget"] = 6
    project.spec["evaluation"]["data_seeds"] = 1
    project.apply()
    ((_, _, first, shared),) = ask(project, every)
    assert ask(project, owners) == [["messages", first]]

    project.spec["evaluation"]["data_seeds"] = 2
    project.apply()
    (one, other) = ask(project, every)
    assert one == ["messages", 0, first, shared]
    second = other[2]
    assert second != first
    assert ask(project, owners) == [["messages", second]]  # the latest that has them, both
    before = ask(project, counts)
    assert before == ask(project, listed)
    assert [written for _, written, _ in before] == [36]

    project.spec["name"] = "messages again"
    project.spec["evaluation"]["data_seeds"] = 1
    project.spec["methods"]["exclude"].append("majority")
    project.apply()
    found = ask(project, every)
    assert found == [one, other, ["messages again", 0, first, shared]]
    assert ask(project, owners)[0] == ["messages", second]
    assert ask(project, counts) == ask(project, listed)
    assert ask(project, counts)[0] == before[0]
    assert ask(project, "SELECT sum(written) FROM (SELECT DISTINCT fingerprint, written FROM augmentations)") == [[36]]


@pytest.mark.full
def test_folds_keep_what_they_score_from_the_teacher(project: Project, server: ChatServer, ask: Ask) -> None:
    del project.spec["data"]["test"]
    project.spec["methods"]["exclude"].remove("pattern+lora")
    project.spec["methods"]["pin"] = {"steps": 3, "batch_size": 4}
    project.spec["data"]["label_budget"] = 24
    project.spec["evaluation"] = {"data_seeds": 1, "folds": 2}
    with_teacher(project, base_url=server.url)
    assert project.apply().state == "succeeded"
    made = ask(project, "SELECT fold, seeds, kept FROM augmentations ORDER BY fold")
    assert [fold for fold, *_ in made] == [0, 1]
    assert all(kept > 0 for *_, kept in made)
    arms = {arm for (arm,) in ask(project, "SELECT DISTINCT arm FROM leaderboard WHERE arm LIKE '%augmented'")}
    assert {project.plan().plan.arm(arm).formulation for arm in arms} == {"tfidf", "pattern"}


def test_a_ceiling_of_the_operator_stops_between_two_batches_and_nothing_is_lost(
    project: Project, server: ChatServer
) -> None:
    def over(planned: Planned) -> Callable[[], None]:
        def watch() -> None:
            if server.answered >= 16:
                raise RunError(Diagnostic(code="E-ceiling", message="too long"), exit_status=6)

        return watch

    with_teacher(project, base_url=server.url)
    project.spec["augmentation"] |= {"gate": False, "factor": 6}
    project.spec["data"]["label_budget"] = 18
    project.spec["evaluation"]["data_seeds"] = 1
    with pytest.raises(RunError, match="E-ceiling"):
        apply(project.path, project.workspace, How(in_process=True), Silent(), permit=over)
    calls = next((project.workspace / "teachers").glob("*.jsonl"))
    assert server.answered == len(calls.read_text().splitlines()) == 16
    assert project.apply().state == "succeeded"
    assert server.answered == len(calls.read_text().splitlines()) > 16


def test_what_writes_and_compares_must_be_on_this_machine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "encoder_is_ready", lambda: False)
    monkeypatch.setattr(writers, "is_ready", lambda: False)
    project.spec["augmentation"] = {"teacher": {"model": "smollm2-135m-instruct"}}
    with pytest.raises(PlanError) as error:
        project.plan()
    found = [(one.code, one.pointer) for one in error.value.diagnostics]
    assert found == [("E-facts-missing", "/augmentation/teacher/model"), ("E-facts-missing", "/augmentation")]
    assert all("fewtune pull" in (one.remedy or "") for one in error.value.diagnostics)
    with_teacher(project, base_url="http://localhost:1/v1")
    with pytest.raises(PlanError, match="sentence encoder"):
        project.plan()
    monkeypatch.setattr(writers, "encoder_is_ready", lambda: True)
    assert project.plan()


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (None, "E-file-missing", "there is no file calls.jsonl"),
        ("{}\n", "E-recording", "line 1 is damaged"),
        ("", "", ""),
        ('{"key": "abc', "", ""),  # a crash may cut the last line: the stage's note says so
    ],
)
def test_a_recording_is_looked_at_before_anything_is_planned(
    project: Project, content: str | None, code: str, says: str
) -> None:
    if content is not None:
        (project.folder / "calls.jsonl").write_text(content)
    with_teacher(project, recording="calls.jsonl")
    if not code:
        assert project.plan()
        return
    with pytest.raises(PlanError) as error:
        project.plan()
    (found,) = error.value.diagnostics
    assert (found.code, found.pointer) == (code, "/augmentation/teacher/recording")
    assert found.line is not None
    assert says in found.message
    checked = check(given(project.path, project.folder), fix=False)
    (said,) = [one for one in checked.found if one.severity == "error"]
    assert (said.code, said.pointer) == (code, "/augmentation/teacher/recording")


def test_what_an_endpoint_is_asked_with_is_missed_at_plan_time(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning with its place and remedy, and no part of the plan; none where nothing would be asked."""
    place = {"base_url": "http://localhost:1/v1", "key_variable": "WRITER_KEY"}

    def said() -> list[tuple[str, str, str]]:
        with_teacher(project, **place)
        return [(one.code, one.pointer or "", one.severity) for one in unready(project.plan())]

    monkeypatch.delenv("WRITER_KEY", raising=False)
    key = ("E-teacher", "/augmentation/teacher/key_variable", "warning")
    assert said() == [key]
    without = project.plan().plan.hash
    monkeypatch.setattr(absent, "find_spec", lambda name: None)
    assert said() == [("E-training-missing", "/augmentation/teacher", "warning"), key]
    monkeypatch.undo()
    monkeypatch.setattr(writers, "encoder_is_ready", lambda: True)
    monkeypatch.setenv("WRITER_KEY", "secret")
    assert said() == []
    assert project.plan().plan.hash == without
    monkeypatch.setenv("WRITER_KEY", "")
    assert said() == [key]
    del place["key_variable"]
    assert said() == []
    (project.folder / "calls.jsonl").write_text("")
    place |= {"key_variable": "WRITER_KEY", "recording": "calls.jsonl"}
    assert said() == []
    project.spec.pop("augmentation")
    assert unready(project.plan()) == ()


def test_the_plan_command_says_it_among_its_warnings(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WRITER_KEY", raising=False)
    with_teacher(project, base_url="http://localhost:1/v1", key_variable="WRITER_KEY")
    notes = [one for one in operators_notes(project.plan(), project.workspace) if one.code == "E-teacher"]
    assert [(one.severity, one.pointer, "WRITER_KEY" in one.message) for one in notes] == [
        ("warning", "/augmentation/teacher/key_variable", True)
    ]
    assert "set it to the endpoint's key" in (notes[0].remedy or "")


def test_default_plans_have_nothing_of_it(project: Project) -> None:
    plan = project.plan().plan
    assert not [stage for stage in plan.stages if stage.kind == "augment"]
    assert not [arm for arm in plan.arms if arm.augmentation]
    assert plan.augmentation is None


def test_a_ceiling_that_leaves_no_room_for_the_gate_keeps_it_closed(project: Project, server: ChatServer) -> None:
    with_teacher(project, base_url=server.url)
    project.spec["augmentation"] |= {"max_tokens": 400}
    assert project.apply().state == "succeeded"
    assert server.answered == 0
    found = results(project.workspace).synthetic
    assert found is not None
    said = "stayed closed for all 2 samples, whose arms were dropped: the ceiling left no room to ask the teacher"
    assert all(said in line for line in found.gates())
    assert any("leaves no room" in note for note in found.notes())
