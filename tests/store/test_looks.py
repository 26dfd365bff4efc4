"""Looks: their order, what risk is left to each, and that standings and verdicts use it."""

from pathlib import Path

import miniature
import pytest

from fewtune.compiler.plan import Plan
from fewtune.store.database import connect, create, insert
from fewtune.store.event import Looked
from fewtune.store.history import History
from fewtune.store.looks import Look, look_of, place, share
from fewtune.store.query import run_sql
from fewtune.store.reader import Reader
from fewtune.store.record import START, Record
from fewtune.store.statistics import Comparison
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store

ARMS = ("majority", "zero-shot", "pattern + LoRA r=8")


def test_all_later_looks_share_what_the_first_one_has() -> None:
    shares = [share(number) for number in range(1, 2001)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)
    assert sum(shares[1:]) == pytest.approx(1, abs=1e-3)
    assert sum(shares[1:]) < 1


def history(*looks: tuple[str, ...]) -> History:
    """(content, plan, split, and perhaps what is alike and what is shown), in the order of looking."""
    names = ("content", "plan_hash", "split", "alike", "shown")
    events = [Looked(**{**dict(zip(names, look, strict=False)), "arms": 4}) for look in looks]  # type: ignore[arg-type]
    found = History()
    found.add(
        [Record(seq=1 + n, ts="", fence=1, kind=one.kind, data=one.model_dump()) for n, one in enumerate(events)], START
    )
    return found


def test_a_plan_keeps_its_place_whoever_comes_later_or_again() -> None:
    seen = history(("c", "p", "test"), ("d", "q", "ood"), ("c", "q", "test"), ("c", "p", "test"), ("c", "r", "cv"))
    assert look_of(seen, "p", "test") == Look(number=1, total=3, arms=4, earlier_arms=0)
    assert look_of(seen, "q", "test") == Look(number=2, total=3, arms=4, earlier_arms=4)
    assert look_of(seen, "r", "cv") == Look(number=3, total=3, arms=4, earlier_arms=8)
    assert look_of(seen, "q", "ood") == Look(number=1, total=1, arms=4, earlier_arms=0)
    assert look_of(seen, "r", "test") is None


def test_a_look_to_come_stands_behind_all_others() -> None:
    seen = history(("c", "p", "test"), ("c", "q", "test")).looks("c")
    found = place(seen, "r", 3)
    assert (found.number, found.total) == (3, 2)
    assert found.next_share == share(4)
    assert found.pairs == 3 + 3 * 8


SHARED = (
    ("old", "p", "test"), ("old", "t", "test", "rows", "new"), ("c", "q", "test", "rows", "scores"),
    ("d", "r", "test", "rows", "others"), ("d", "s", "test", "rows", "scores"), ("e", "u", "test", "more", "scores"),
)  # fmt: skip
NUMBERS = {"p": (1, 4), "t": (2, 4), "q": (3, 4), "r": (4, 4), "s": (3, 4), "u": (1, 1)}
"""Plan -> its look and all looks: the same scores share one, the same rows in other words are the same rows."""


def test_the_same_scores_share_a_look_and_the_same_rows_in_other_words_are_one_split(tmp_path: Path) -> None:
    seen = history(*SHARED)
    found = {plan: look_of(seen, plan, "test") for plan in NUMBERS}
    assert {plan: (look.number, look.total) for plan, look in found.items() if look} == NUMBERS
    assert found["s"] == found["q"]
    for number, look in enumerate(SHARED):
        before = history(*SHARED[:number])
        content, plan, _, alike, shown = (*look, "", "")[:5]
        assert place(before.looks(content, alike), plan, 4, shown).number == NUMBERS[plan][0], "as foretold"
    with connect(tmp_path / "looks.duckdb") as connection:
        create(connection)
        insert(connection, "looked", [{"seq": n, **one.model_dump()} for n, one in enumerate(seen.looked)])
        insert(connection, "run_started", [{"run": plan, "plan_hash": plan} for plan in NUMBERS])
        rows = connection.execute("SELECT run, look, looks FROM private.look").fetchall()
    assert {run: (look, looks) for run, look, looks in rows} == NUMBERS, "as in the views"


def plan_under(name: str, rules: str) -> Plan:
    """A plan that differs by its rule set only, so that its results are those of the others."""
    return miniature.make_plan(name, seeds=3, arms=ARMS).model_copy(update={"rule_set": rules})


def looking(root: Path, plan: Plan) -> None:
    with Store.open(root) as store:
        list(miniature.apply(store, plan, publish=False))
        look = Looked(content=miniature.DIGEST["test"], plan_hash=plan.hash, split="test", arms=len(plan.arms))
        store.record(look)


def test_a_second_look_needs_more_and_says_so(root: Path) -> None:
    """Two plans of the same arms: the second one's intervals are wider, its p-values larger, the raw ones the same."""
    for name in ("one", "two"):
        looking(root, plan_under(name, f"rules-{name}"))
    columns = "arm, level, p_value, p_raw, ci_high - ci_low, raw_high - raw_low, look, verdict"
    query = f"SELECT {columns} FROM comparisons WHERE metric = 'accuracy' AND split = 'test' AND experiment = "
    first, second = (run_sql(Workspace(root), f"{query}'{name}' ORDER BY arm").rows for name in ("one", "two"))
    for before, after in zip(first, second, strict=True):
        assert before[0] == after[0]
        assert after[1] == pytest.approx(1 - (1 - before[1]) / 2)
        assert after[2] == pytest.approx(min(1, 2 * before[2]))
        assert after[3] == before[3]
        assert after[4] > before[4]
        assert after[5] == before[5] < before[4]
        assert (before[6], after[6]) == (1, 2)
    board = run_sql(Workspace(root), "SELECT DISTINCT experiment, look, looks FROM leaderboard ORDER BY ALL").rows
    assert board == [["one", 1, 2], ["two", 2, 2]]


def test_compare_agrees_with_the_comparisons(root: Path) -> None:
    """What the leaderboard compares, `compare` judges alike, from either side; other pairs share among all pairs."""
    from fewtune.api.comparing import compare_arms

    looking(root, miniature.make_plan(seeds=3, arms=ARMS))
    query = (
        "SELECT difference, ci_low, ci_high, level, verdict, p_value, p_raw FROM comparisons WHERE metric = 'accuracy'"
    )
    [row] = run_sql(Workspace(root), f"{query} AND arm = 'zero-shot'").rows
    own, turned = compare_arms(root, ARMS[2], ARMS[1]), compare_arms(root, ARMS[1], ARMS[2])
    assert parts(own.comparison) == row
    assert (own.family, own.picked) == (2, False)
    said = turned.comparison
    assert [-said.difference, -said.high, -said.low, said.level] == row[:4]
    assert {said.verdict, row[4]} in ({"better", "worse"}, {"cannot tell"})
    other = compare_arms(root, ARMS[0], ARMS[1])
    assert (other.family, other.picked) == (3, True)
    assert other.comparison.level == pytest.approx(1 - 0.05 / 2 / 3)
    assert "3 pairs one could pick" in other.text()


def parts(found: Comparison) -> list[object]:
    return [
        found.difference, found.low, found.high, found.level, found.verdict, found.p_value, found.p_raw,
    ]  # fmt: skip


def test_arms_of_two_plans_are_judged_by_the_later_look(root: Path) -> None:
    from fewtune.api.comparing import compare_arms

    for name in ("one", "two"):
        looking(root, plan_under(name, f"rules-{name}"))
    found = compare_arms(root, f"r0001/{ARMS[2]}", f"r0002/{ARMS[1]}")
    assert found.look == Look(number=2, total=2, arms=3, earlier_arms=3)
    assert found.family == 3 + 9
    assert found.comparison.level == pytest.approx(1 - 0.05 / 2 / 2 / 12)
    assert len(Reader(root).history().looks(miniature.DIGEST["test"])) == 2
    assert "look 2 at this split" in found.text()
