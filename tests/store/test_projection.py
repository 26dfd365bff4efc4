"""The database is the journal's projection: incremental or from scratch, the rows are the same."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import miniature
import pytest

from fewtune.store import projection, standings
from fewtune.store.event import Evaluated
from fewtune.store.journal import read
from fewtune.store.projection import NOTHING, project, rebuild
from fewtune.store.schema import TABLES
from fewtune.store.views import PUBLIC
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store

pytestmark = pytest.mark.usefixtures("no_quantiles")

SMALL = ("zero-shot", "pattern + LoRA r=8")
PRIVATE = [f"private.{name}" for name in TABLES]
VIEWS = [view.name for view in PUBLIC]
Tables = dict[str, list[tuple[Any, ...]]]


def tables(workspace: Workspace, names: list[str] = PRIVATE) -> Tables:
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in names}


def ask(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def store(root: Path):
    """An open store that never publishes by itself."""
    with Store.open(root) as opened:
        opened.publish = lambda *, force=False: False  # type: ignore[method-assign]
        yield opened


def same_as_from_scratch(workspace: Workspace, names: list[str] = PRIVATE) -> Tables:
    before = tables(workspace, names)
    rebuild(workspace)
    after = tables(workspace, names)
    for name in names:
        assert before[name] == after[name], name
    return after


def test_each_increment_equals_a_rebuild(store: Store) -> None:
    """Two runs, folds, a lost worker and a diverged trial, projected after every acknowledged result."""
    workspace = store.workspace
    plan = miniature.make_plan(arms=SMALL, folds=2)
    rows = 0
    for number, _ in enumerate(miniature.apply(store, plan, failing=["pattern/n8/d0"], diverging=["pattern/n8/d1"])):
        project(workspace)
        if number in (3, 9):
            same_as_from_scratch(workspace)
    list(miniature.apply(store, miniature.make_plan("other", arms=SMALL[:1])))
    assert project(workspace).added > 0
    for content in same_as_from_scratch(workspace, PRIVATE + VIEWS).values():
        rows += len(content)
    assert rows > 500


def test_nothing_new_adds_nothing(store: Store) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL[:1])))
    first = project(store.workspace)
    assert first.added > 0
    assert project(store.workspace) == first._replace(added=0)
    assert first.as_of == read(store.workspace.journal).records[-1].ts


@pytest.mark.parametrize(
    "damage", [b"", b"not a database", None], ids=["empty", "garbage", "missing"]
)  # fmt: skip
def test_a_damaged_database_is_made_anew(store: Store, damage: bytes | None) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL[:1])))
    project(store.workspace)
    before = tables(store.workspace)
    path = store.workspace.database
    path.unlink() if damage is None else path.write_bytes(damage)
    project(store.workspace)
    assert tables(store.workspace) == before


def test_a_database_cut_or_flipped_anywhere_is_never_silently_wrong(store: Store) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL[:1])))
    project(store.workspace)
    before, path = tables(store.workspace), store.workspace.database
    content = path.read_bytes()
    for place in range(0, len(content), len(content) // 9):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with suppress(duckdb.Error):  # loud is well
            project(store.workspace)
            assert tables(store.workspace) == before
    path.write_bytes(content[: len(content) // 2])
    project(store.workspace)
    assert tables(store.workspace) == before


def test_a_database_of_another_schema_or_journal_is_made_anew(store: Store, monkeypatch) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL[:1])))
    project(store.workspace)
    assert project(store.workspace).added == 0
    monkeypatch.setattr(projection.schema, "version", lambda: "another")
    assert project(store.workspace).added > 0
    with duckdb.connect(str(store.workspace.database)) as connection:
        connection.execute("UPDATE private.position SET checksum = '0000000000000000'")
    assert project(store.workspace).added > 0


def test_death_in_the_middle_of_an_increment_leaves_the_one_before(store: Store, monkeypatch) -> None:
    results = miniature.apply(store, miniature.make_plan(arms=SMALL))
    next(results)
    project(store.workspace)
    before = tables(store.workspace)
    next(results)

    def fail(connection: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(projection, "refresh_standings", fail)
        with pytest.raises(KeyboardInterrupt):
            project(store.workspace)
    assert tables(store.workspace) == before
    project(store.workspace)
    same_as_from_scratch(store.workspace)


def test_a_half_finished_run_shows_what_is_there(store: Store) -> None:
    plan = miniature.make_plan(arms=SMALL, splits=("test", "blogs"))
    results = miniature.apply(store, plan, failing=["pattern/n8/d1"])
    for _ in range(2):  # zero-shot on both splits
        next(results)
    project(store.workspace)
    assert ask(store.workspace, "SELECT arm, state FROM trials ORDER BY ALL") == [
        ("pattern + LoRA r=8", "waiting"), ("pattern + LoRA r=8", "waiting"), ("zero-shot", "finished"),
    ]  # fmt: skip
    assert ask(store.workspace, "SELECT DISTINCT arm, split FROM leaderboard ORDER BY ALL") == [
        ("zero-shot", "blogs"), ("zero-shot", "test"),
    ]  # fmt: skip
    assert ask(store.workspace, "SELECT state, seconds, chosen_arm FROM runs") == [("running", None, None)]
    for _ in range(4):
        next(results)
    project(store.workspace)
    states = ask(store.workspace, "SELECT state FROM trials WHERE data_seed IS NOT NULL ORDER BY data_seed")
    assert states == [("finished",), ("waiting",)]
    list(results)
    project(store.workspace)
    assert ask(store.workspace, "SELECT DISTINCT state FROM trials") == [("finished",)]
    assert ask(store.workspace, "SELECT trial, failure FROM failures") == [("pattern/n8/d1", "worker_lost")]
    assert ask(store.workspace, "SELECT count(*), count(DISTINCT attempt) FROM attempts") == [(4, 4)]


def test_states_of_a_trial(store: Store) -> None:
    """Running while its attempt is open, failed when the last one failed, diverged for ever."""
    plan = miniature.make_plan(arms=SMALL[1:])
    state = "SELECT state FROM trials WHERE data_seed = 0"
    trial, stages = plan.trials[0], [stage for stage in plan.stages if stage.trial == plan.trials[0].id]
    store.start_run(plan, miniature.make_estimate(plan))
    job = miniature.run_job(store, plan, trial, "j", stages, lost=True, diverged=False)
    record = store.record

    def stop_after_start(*events, artefacts=()):
        result = record(*events, artefacts=artefacts)
        if events[0].kind == "attempt_started":
            raise InterruptedError
        return result

    store.record = stop_after_start  # type: ignore[method-assign]
    with pytest.raises(InterruptedError):
        list(job)
    store.record = record  # type: ignore[method-assign]
    project(store.workspace)
    assert ask(store.workspace, state) == [("running",)]
    list(miniature.run_job(store, plan, trial, "j", stages, lost=True, diverged=False))
    project(store.workspace)
    assert ask(store.workspace, state) == [("failed",)]
    list(miniature.run_job(store, plan, trial, "j", stages, lost=False, diverged=True))
    project(store.workspace)
    assert ask(store.workspace, state) == [("diverged",)]
    assert ask(store.workspace, "SELECT count(*) FROM leaderboard") == [(0,)]
    assert ask(store.workspace, "SELECT DISTINCT diverged FROM evaluations") == [(True,)]
    assert ask(store.workspace, "SELECT count(*) FROM metrics WHERE value IS NULL") == [(1,)]


def test_folds_are_one_set_of_rows(store: Store) -> None:
    """A cross-validated trial is there when all its folds are, and scored on all rows at once."""
    plan = miniature.make_plan(arms=SMALL[1:], folds=4, seeds=1)
    results = miniature.apply(store, plan)
    for _ in range(3 * 3):
        next(results)
    project(store.workspace)
    assert ask(store.workspace, "SELECT count(*) FROM evaluations") == [(0,)]
    list(results)
    project(store.workspace)
    [(items, accuracy)] = ask(store.workspace, "SELECT items, accuracy FROM evaluations WHERE split = 'cv'")
    said = "SELECT count(*), count(DISTINCT row_number), avg(correct::INT) FROM predictions WHERE split = 'cv'"
    assert ask(store.workspace, said) == [(items, items, accuracy)]
    assert ask(store.workspace, "SELECT seeds, trials, items, basis FROM leaderboard WHERE metric = 'mcc'") == [
        (1, 1, 40, "items_only")
    ]


def test_arms_without_labels_stand_at_every_n(store: Store) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL, levels=(8, 16))))
    project(store.workspace)
    rows = ask(store.workspace, "SELECT n, arm, seeds, trials FROM leaderboard WHERE metric = 'mcc' ORDER BY ALL")
    assert rows == [
        (8, "pattern + LoRA r=8", 2, 2), (8, "zero-shot", 0, 1),
        (16, "pattern + LoRA r=8", 2, 2), (16, "zero-shot", 0, 1),
    ]  # fmt: skip
    flat = ask(
        store.workspace, "SELECT DISTINCT mean, ci_low FROM learning_curve WHERE arm = 'zero-shot' AND metric = 'mcc'"
    )
    assert len(flat) == 1


def test_a_second_run_reuses_rows_and_intervals(store: Store, monkeypatch) -> None:
    plan = miniature.make_plan(arms=SMALL)
    list(miniature.apply(store, plan))
    project(store.workspace)
    leaderboard = "SELECT * EXCLUDE (run) FROM leaderboard"
    before = ask(store.workspace, leaderboard)

    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(standings, "score_interval", fail)
    monkeypatch.setattr(standings, "compare_family", fail)
    list(miniature.apply(store, plan))
    project(store.workspace)
    assert ask(store.workspace, leaderboard) == before
    assert ask(store.workspace, "SELECT DISTINCT run FROM leaderboard") == [("r0002",)]
    assert ask(store.workspace, "SELECT run, action, count(*) FROM trials GROUP BY ALL ORDER BY ALL") == [
        ("r0001", "create", 3), ("r0002", "reuse", 3),
    ]  # fmt: skip
    assert ask(store.workspace, "SELECT run, finished, reused, chosen_arm FROM runs") == [
        ("r0001", 3, 0, "pattern + LoRA r=8"), ("r0002", 3, 3, "pattern + LoRA r=8"),
    ]  # fmt: skip
    assert ask(store.workspace, "SELECT DISTINCT seconds FROM costs WHERE run = 'r0002' AND arm IS NOT NULL") == [(0,)]


def test_a_new_split_evaluates_what_was_trained(store: Store) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL)))
    list(miniature.apply(store, miniature.make_plan(arms=SMALL, splits=("test", "blogs"))))
    project(store.workspace)
    fits = "SELECT count(*) FROM private.fitted"
    assert ask(store.workspace, fits) == [(2,)]
    assert ask(store.workspace, "SELECT DISTINCT split FROM leaderboard ORDER BY ALL") == [("blogs",), ("test",)]


def test_experiments_do_not_mix(store: Store) -> None:
    list(miniature.apply(store, miniature.make_plan("one", arms=SMALL)))
    list(miniature.apply(store, miniature.make_plan("two", arms=SMALL, learning_rate=1e-4)))
    list(miniature.apply(store, miniature.make_plan("one", arms=SMALL, seeds=3)))
    project(store.workspace)
    rows = ask(store.workspace, "SELECT DISTINCT experiment, run, seeds FROM leaderboard WHERE seeds > 0 ORDER BY ALL")
    assert rows == [("one", "r0003", 3), ("two", "r0002", 2)]
    retried = ask(store.workspace, "SELECT action, count(*) FROM trials WHERE run = 'r0003' GROUP BY ALL ORDER BY ALL")
    assert retried == [("create", 1), ("reuse", 3)]


def test_a_retry_is_told(store: Store) -> None:
    plan = miniature.make_plan(arms=SMALL[1:], seeds=1)
    trial, stages = plan.trials[0], [stage for stage in plan.stages if stage.trial]
    store.start_run(plan, miniature.make_estimate(plan))
    list(miniature.run_job(store, plan, trial, "j", stages, lost=True, diverged=False))
    store.end_run("failed", "one trial failed")
    list(miniature.apply(store, plan))
    project(store.workspace)
    assert ask(store.workspace, "SELECT run, action, state FROM trials") == [
        ("r0001", "create", "finished"), ("r0002", "retry", "finished"),
    ]  # fmt: skip
    assert ask(store.workspace, "SELECT attempt, message FROM failures ORDER BY ALL") == [
        ("r0001-1", "gone"), (None, "one trial failed"),
    ]  # fmt: skip


def test_lost_predictions_are_missing_and_computed_again(store: Store) -> None:
    plan = miniature.make_plan(arms=SMALL[1:])
    list(miniature.apply(store, plan))
    project(store.workspace)
    before = tables(store.workspace, [*PRIVATE, "leaderboard"])
    lost = next(stage for stage in plan.stages if stage.split == "test")
    event = store.history.evaluated[lost.fingerprint]
    store.artefacts.path(event.artefact).write_bytes(b"damaged")
    rebuild(store.workspace)
    assert ask(store.workspace, "SELECT DISTINCT trials FROM leaderboard") == [(1,)]
    assert list(miniature.apply(store, plan)) == [lost.fingerprint]
    project(store.workspace)
    after = same_as_from_scratch(store.workspace, [*PRIVATE, "leaderboard"])
    assert len(after["private.evaluated"]) == len(before["private.evaluated"]) + 1
    assert len(after["private.prediction"]) == len(before["private.prediction"])
    assert all_but(after["leaderboard"], "r0002") == all_but(before["leaderboard"], "r0001")


def test_a_run_whose_plan_was_lost_is_still_a_run(store: Store) -> None:
    list(miniature.apply(store, miniature.make_plan(arms=SMALL[:1])))
    store.artefacts.path(store.history.runs["r0001"].started.plan).unlink()
    project(store.workspace)
    assert ask(store.workspace, "SELECT run, trials, state FROM runs") == [("r0001", 0, "succeeded")]


def test_costs_are_estimate_against_actual(store: Store) -> None:
    plan = miniature.make_plan(arms=SMALL)
    list(miniature.apply(store, plan, failing=["pattern/n8/d0"]))
    project(store.workspace)
    rows = ask(store.workspace, "SELECT arm, estimated_seconds, seconds, lost_seconds, peak_memory_bytes FROM costs")
    assert rows[:2] == [("zero-shot", 2.0, 0.5, 0.0, None), ("pattern + LoRA r=8", 2.0, 5.0, 1.0, 2_500_000)]
    [whole] = rows[2:]
    assert whole[0] is None
    assert whole[3] == 1.0
    sizes = [e.event.artefact.size for e in read(store.workspace.journal).records if isinstance(e.event, Evaluated)]
    assert ask(store.workspace, "SELECT disk_bytes FROM costs WHERE arm IS NULL") == [(sum(sizes) + 2 * 64,)]


def test_an_empty_journal_is_an_empty_database(root: Path) -> None:
    workspace = Workspace(root)
    root.mkdir()
    assert project(workspace).end == NOTHING.end
    assert {name for name, rows in tables(workspace).items() if rows} == {"private.position"}


def all_but(rows: list[tuple[object, ...]], run: str) -> list[list[object]]:
    """The rows without the run's name."""
    assert all(run in row for row in rows)
    return [[value for value in row if value != run] for row in rows]
