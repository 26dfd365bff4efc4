"""The learning rate's course."""

import pytest

from fewtune.runtime.train.schedule import factor


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_rises_to_one_without_an_idle_step_then_never_rises(schedule: str, warmup: int) -> None:
    course = [factor(schedule, step, 20, warmup) for step in range(20)]  # type: ignore[arg-type]
    assert min(course) > 0
    assert max(course) == course[warmup] == 1.0
    assert course[:warmup] == sorted(course[:warmup])
    assert course[warmup:] == sorted(course[warmup:], reverse=True)


def test_linear_and_cosine_end_at_zero() -> None:
    assert factor("linear", 20, 20, 3) == pytest.approx(0)
    assert factor("cosine", 20, 20, 3) == pytest.approx(0)
    assert factor("cosine", 10, 20, 0) == pytest.approx(0.5)
    assert factor("constant", 20, 20, 3) == 1.0


def test_agrees_with_transformers_after_the_warmup() -> None:
    from torch import nn
    from torch.optim import SGD
    from transformers import get_scheduler

    for schedule in ("linear", "cosine"):
        theirs = get_scheduler(schedule, SGD(nn.Linear(1, 1).parameters(), lr=1.0), 4, 20)
        for step in range(20):
            if step >= 4:
                assert factor(schedule, step, 20, 4) == pytest.approx(theirs.get_last_lr()[0])  # type: ignore[arg-type]
            theirs.optimizer.step()
            theirs.step()
