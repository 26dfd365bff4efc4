"""The trial that measures this machine."""

from fewtune.runtime.probe.device import cpu_facts
from fewtune.runtime.train.calibration import calibrate, trial_model


def test_it_measures_each_precision() -> None:
    device = cpu_facts()
    found = calibrate(device, seconds=0.05)
    assert set(found.rates) == ({"bf16", "fp32"} if device.bf16 else {"fp32"})
    assert all(1 < rate < 10_000 for rates in found.rates.values() for rate in rates)


def test_the_trial_model_is_of_the_shape_that_the_costs_are_about() -> None:
    assert trial_model("cpu").block_parameters == 6 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
