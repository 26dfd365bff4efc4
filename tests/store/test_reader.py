"""The reading end: what planning asks is answered from the journal, and nothing is ever written."""

from dataclasses import fields
from pathlib import Path

import miniature
import pytest

from fewtune.compiler.diff import diff
from fewtune.specs.diagnostic import StoreError
from fewtune.store.artefacts import STATE
from fewtune.store.event import Looked
from fewtune.store.reader import ComparisonRow, LeaderboardRow, Reader
from fewtune.store.views import PUBLIC
from fewtune.store.writer import Store

pytestmark = pytest.mark.usefixtures("no_database")

ARMS = ("zero-shot", "pattern + LoRA r=8", "head + LoRA r=8")
PLAN = miniature.make_plan(arms=ARMS)


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reader") / "workspace"
    miniature.applied(root, PLAN, failing=["head/n8/d1"], diverging=["head/n8/d0"])
    return root


def test_an_empty_workspace_knows_nothing_and_stays_empty(root: Path) -> None:
    reader = Reader(root)
    assert reader.known().work(PLAN) == reader.known([]).work(PLAN)
    assert not diff(PLAN, reader.known().work(PLAN)).nothing
    assert (reader.runs(), reader.latest_run(), reader.holder(), reader.history().looks("c")) == ((), None, None, {})
    assert (reader.leaderboard(), reader.comparisons()) == ((), ())
    assert not root.exists()


def test_known_is_what_plan_and_apply_agree_on(applied: Path) -> None:
    known = Reader(applied).known()
    fits = {stage.fingerprint for stage in PLAN.stages if stage.kind == "train"}
    scores = {stage.fingerprint for stage in PLAN.stages if stage.kind == "evaluate"}
    assert (set(known.fitted), set(known.evaluated)) == (fits, scores)
    assert known.failed == frozenset(), "it was tried again and succeeded"
    assert known.diverged == {s.fingerprint for s in PLAN.stages if s.kind == "train" and s.trial == "head/n8/d0"}
    assert diff(PLAN, known.work(PLAN)).nothing
    assert known.work(PLAN).chosen == "pattern + LoRA r=8"


def test_known_can_be_asked_for_a_part(applied: Path) -> None:
    one = next(iter(Reader(applied).known().evaluated))
    known = Reader(applied).known([one, "f" * 24])
    assert (list(known.fitted), list(known.evaluated), known.selected) == ([], [one], {})


@pytest.mark.parametrize(("deep", "there"), [(True, False), (False, True)])
def test_a_flipped_state_is_unknown_to_a_deep_look(root: Path, deep: bool, there: bool) -> None:
    miniature.applied(root, PLAN)
    stage = next(stage for stage in PLAN.stages if stage.kind == "train")
    [path] = root.glob(f"artefacts/*/{stage.fingerprint}/{STATE}")
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert (stage.fingerprint in Reader(root).known(deep=deep).fitted) is there


def test_a_failed_stage_is_to_be_retried_until_it_is_tried(root: Path) -> None:
    plan = miniature.make_plan(arms=ARMS[1:2], seeds=1)
    trial, stages = plan.trials[0], [stage for stage in plan.stages if stage.trial]
    reader = Reader(root)
    with Store.open(root) as store:
        store.start_run(plan, miniature.make_estimate(plan))
        list(miniature.run_job(store, plan, trial, "j", stages, lost=True, diverged=False))
        assert reader.known().failed == {stage.fingerprint for stage in stages}
        assert diff(plan, reader.known().work(plan)).trials == {trial.id: "retry"}
        list(miniature.run_job(store, plan, trial, "j", stages, lost=False, diverged=False))
        assert reader.known().failed == frozenset()
        store.end_run("succeeded")


def test_a_reader_follows_a_writer(root: Path) -> None:
    reader = Reader(root)
    with Store.open(root) as store:
        for _ in miniature.apply(store, PLAN, publish=False):
            known = reader.known()
            assert known == store.known()
            assert reader.history().end == store.history.end
    assert Reader(root).history().evaluated == reader.history().evaluated


def test_a_journal_that_was_replaced_is_read_anew(root: Path, applied: Path) -> None:
    reader = Reader(root)
    with Store.open(root) as store:
        store.record(*(Looked(content=str(number), plan_hash="p") for number in range(50)))
    assert len(reader.history().looks("7")) == 1
    (root / "journal.jsonl").write_bytes((applied / "journal.jsonl").read_bytes())
    assert len(reader.history().looks("7")) == 0
    assert list(reader.history().runs) == ["r0001"]


def test_looks_are_counted_by_plan(root: Path) -> None:
    with Store.open(root) as store:
        for content, plan in [("test", "p"), ("test", "p"), ("test", "q"), ("other", "p")]:
            store.record(Looked(content=content, plan_hash=plan))
    reader = Reader(root)
    assert [len(reader.history().looks(content)) for content in ("test", "other", "never")] == [2, 1, 0]


def test_runs_are_found_by_name_and_experiment(root: Path) -> None:
    for name in ("one", "two", "one"):
        miniature.applied(root, miniature.make_plan(name, arms=ARMS[:1]))
    reader = Reader(root)
    latest = [reader.latest_run(), reader.latest_run("one"), reader.latest_run("two"), reader.latest_run("three")]
    assert [run and run.id for run in latest] == ["r0003", "r0003", "r0002", None]
    assert reader.plan_of("r0002").plan == miniature.make_plan("two", arms=ARMS[:1])
    assert reader.plan_of("r0002").estimate.arms[0].arm == "zero-shot"
    with pytest.raises(StoreError, match="r0009") as caught:
        reader.run("r0009")
    assert caught.value.exit_status == 7
    assert "r0003" in str(caught.value.diagnostics[0].expected)


def test_the_choice_is_told_with_its_scores(applied: Path) -> None:
    found = Reader(applied).selection_of("r0001")
    assert found is not None
    assert (found.arm, found.gate, found.metric, found.n) == ("pattern + LoRA r=8", "best-validation", "accuracy", 8)
    assert {score.arm: score.value for score in found.scores}["head + LoRA r=8"] == 0.6


def test_rows_are_typed(applied: Path) -> None:
    leaderboard, comparisons = Reader(applied).leaderboard("clauses"), Reader(applied).comparisons()
    assert Reader(applied).leaderboard("another") == ()
    [best] = [row for row in leaderboard if row.chosen and row.metric == "accuracy"]
    assert (best.arm, best.rank, best.seeds, best.diverged) == ("pattern + LoRA r=8", 1, 2, 0)
    assert {row.diverged for row in leaderboard if row.arm == "head + LoRA r=8"} == {1}
    assert {row.verdict for row in comparisons} <= {"better", "worse", "cannot tell"}


@pytest.mark.parametrize(("view", "row"), [("leaderboard", LeaderboardRow), ("comparisons", ComparisonRow)])
def test_rows_have_the_views_columns(view: str, row: type) -> None:
    [found] = [public for public in PUBLIC if public.name == view]
    assert [field.name for field in fields(row)].sort() == list(found.columns).sort()
    assert {field.name for field in fields(row)} == set(found.columns)
