"""The trial that measures this machine."""

import pytest

from fewtune.compiler.cost import SPREAD
from fewtune.runtime.probe.device import cpu_facts
from fewtune.runtime.train.calibration import _rates, calibrate, trial_model


@pytest.mark.parametrize("cores", [1, pytest.param(2, marks=pytest.mark.full)])
def test_it_measures_each_precision(cores: int) -> None:
    device = cpu_facts().model_copy(update={"cores": cores})
    found = calibrate(device, seconds=0.05)
    assert set(found.rates) == ({"bf16", "fp32"} if device.bf16 else {"fp32"})
    assert all(1 < rate < 10_000 for rates in found.rates.values() for rate in rates)


def test_processes_side_by_side_add_up_but_not_quite() -> None:
    device, one = cpu_facts(), {"step": 0.2, "reading": 0.1}
    alone, both = (_rates(device, "fp32", [one] * count) for count in (1, 2))
    assert both == pytest.approx([rate * 2 ** (1 - SPREAD) for rate in alone], abs=0.1)


def test_the_trial_model_is_of_the_shape_that_the_costs_are_about() -> None:
    assert trial_model("cpu").block_parameters == 6 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
