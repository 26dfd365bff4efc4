"""How many workers an apply starts where nobody says it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from project import make_project

from fewtune.api.running import How, workers_for
from fewtune.api.session import Planned
from fewtune.compiler.facts import Facts, Weather

GIB = 2**30
CASES: list[tuple[dict[str, Any], int, dict[str, Any], str | None, int]] = [
    ({"cores": 2}, 64, {}, None, 2),
    ({"cores": 1}, 64, {}, None, 1),
    ({"cores": 16}, 64, {}, None, 4),
    ({"cores": 16}, 0, {}, None, 1),
    ({"cores": 8}, 64, {}, "4", 2),
    ({"cores": 8}, 64, {}, "16", 1),
    ({"cores": 8}, 64, {"cluster": "10.0.0.1:6379"}, None, 1),
    ({"cores": 8, "kind": "cuda", "count": 3}, 64, {}, None, 3),
]
"""Device, free memory in GiB, how, $OMP_NUM_THREADS, workers."""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    return make_project(tmp_path_factory.mktemp("workers")).plan()


@pytest.mark.parametrize(("device", "free", "how", "threads", "wanted"), CASES)
def test_one_for_each_gpu_and_several_on_a_processor(
    device: dict[str, Any], free: int, how: dict[str, Any], threads: str | None, wanted: int,
    planned: Planned, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    facts = planned.probed.facts
    machine = facts.device.model_copy(update={"kind": "cpu", "count": 1, **device})
    changed = Facts(data=facts.data, model=facts.model, device=machine, weather=Weather(free_memory_bytes=free * GIB))
    assert workers_for(replace(planned, probed=replace(planned.probed, facts=changed)), How(**how)) == wanted


def test_no_more_than_there_is_work_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    others = ["in-context", "probe", "pattern+lora", "head+lora", "pattern+full"]
    alone = make_project(tmp_path, methods={"exclude": others, "pin": {}})
    assert workers_for(alone.plan(), How()) == 1
