"""The number of threads: the fastest at the moment, the usual one in a near tie, and steady where that is asked for."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fewtune.runtime.executor import threads_each
from fewtune.runtime.train.threads import FRESH, Threads, candidates


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class World:
    """A clock, and readings that take as long as the number of threads says."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.readings = 0

    def clock(self) -> float:
        return self.now

    def read(self, tokens: int) -> None:
        assert tokens
        self.readings += 1
        self.now += self.seconds[torch.get_num_threads()]


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({2: 0.1, 1: 0.2}, 2),
        ({2: 0.4, 1: 0.2}, 1),
        ({2: 0.2, 1: 0.19}, 2),
        ({8: 0.9, 4: 0.2, 2: 0.3, 1: 0.6}, 4),
        ({1: 1.0}, 1),
    ],
)
def test_the_fastest_wins(seconds: dict[int, float], chosen: int) -> None:
    world = World(seconds)
    threads = Threads(max(seconds), steady=False, clock=world.clock)
    assert threads.choose(world.read) == chosen == torch.get_num_threads()


def test_a_choice_is_made_again_when_it_is_no_longer_fresh() -> None:
    world = World({2: 0.4, 1: 0.2})
    threads = Threads(2, steady=False, clock=world.clock)
    assert threads.choose(world.read) == 1
    world.seconds = {2: 0.1, 1: 0.2}
    world.now += FRESH / 2
    assert threads.choose(world.read) == 1
    world.now += FRESH
    assert threads.choose(world.read) == 2


def test_a_steady_number_is_never_measured() -> None:
    world = World({})
    assert Threads(2, steady=True, clock=world.clock).choose(world.read) == 2
    assert world.readings == 0


def test_candidates() -> None:
    assert [list(candidates(most)) for most in (1, 2, 12)] == [[1], [2, 1], [12, 6, 3, 1]]


@pytest.mark.parametrize(
    ("given", "cores", "workers", "wanted"),
    [
        (None, 8, 2, (4, False)),
        (None, 2, 4, (1, False)),
        ("3", 8, 2, (3, True)),
        ("3,2", 8, 1, (3, True)),
        ("0", 8, 1, (8, False)),
        ("many", 8, 1, (8, False)),
    ],
)
def test_the_environment_fixes_the_threads(
    given: str | None, cores: int, workers: int, wanted: tuple[int, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads_each(cores, workers) == wanted


def test_a_job_may_use_what_no_other_needs() -> None:
    threads = Threads(1, steady=False)
    threads.allow(2)
    assert torch.get_num_threads() == 2
    threads.allow(None)
    assert torch.get_num_threads() == 2
    fixed = Threads(1, steady=True)
    fixed.allow(2)
    assert torch.get_num_threads() == 1


def test_a_job_asks_again_between_its_steps(engine: Any, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Threads, "choose", lambda self, read: asked.append(len(asked)))
    answer = engine(fresh=True).run(job("pattern", "lora", steps=6))
    assert answer.failure is None, answer.message
    assert len(asked) > 6
