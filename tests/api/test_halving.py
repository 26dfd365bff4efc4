"""Successive halving through apply: the better arms go on, the others are neither trained nor compared."""

import json
from pathlib import Path

from project import Project, make_project

ARM = {"method": "pattern+lora", "steps": 12, "rank": 4}
IDLE, GOOD = 1e-9, 2e-2
"""Learning rates: an arm that stays where it was, and one that learns the toy task."""

OTHERS = ["tfidf", "encoder", "probe", "zero-shot", "in-context", "head+lora", "pattern+full"]


def asked(made: Project, sql: str) -> list[list[object]]:
    rows: list[list[object]] = json.loads(made.cli("sql", sql, "--json").stdout)["data"]["rows"]
    return rows


def test_the_worse_arms_stop_after_the_first_seed(tmp_path: Path) -> None:
    made = make_project(
        tmp_path, n=48, train=120,
        evaluation={"data_seeds": 3, "halving": 2, "validation": "held-out"},
        methods={"exclude": OTHERS, "pin": {}, "arms": [
            {**ARM, "name": name, "learning_rate": rate}
            for name, rate in (("idle", IDLE), ("good", GOOD), ("idler", IDLE / 2), ("fair", GOOD / 2))]},
    )  # fmt: skip
    done = made.apply()
    assert done.state == "succeeded"
    states = {(str(arm), seed): state for arm, seed, state in asked(made, "SELECT arm, data_seed, state FROM trials")}
    assert {state for (arm, _), state in states.items() if arm == "majority"} == {"finished"}
    assert {arm for (arm, seed), state in states.items() if seed == 0 and state == "finished"} >= {"idle", "idler"}
    assert {arm for (arm, seed), state in states.items() if seed == 1 and state == "dropped"} == {"idle", "idler"}
    last = {arm for (arm, seed), state in states.items() if seed == 2 and state == "finished"} - {"majority"}
    assert len(last) == 1
    assert last < {"good", "fair"}
    jobs = [str(job) for (job,) in asked(made, "SELECT job FROM attempts")]
    assert not [job for job in jobs if "idle" in job and "/d0/" not in job]
    assert [line for line in made.reporter.lines if "go on: " in line]
    ((chosen,),) = asked(made, "SELECT DISTINCT arm FROM leaderboard WHERE chosen")
    assert {chosen} == last, "arms are compared on the same seeds"
    assert made.apply().started == 0
    assert made.plan().changes.nothing
