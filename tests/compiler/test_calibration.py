"""Rates that were measured on the machine itself."""

import pytest
from situations import CPU, H100, SMALL, compiled, facts

from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.cost import PADDING, rate_of, rates, step_seconds
from fewtune.compiler.facts import Calibration, DeviceFacts, Facts
from fewtune.specs.experiment import Experiment

ONE_CORE = CPU.model_copy(update={"cores": 1})


def calibrated(device: DeviceFacts, train: float, forward: float) -> DeviceFacts:
    return device.model_copy(update={"calibration": Calibration(rates={"bf16": (train, forward)})})


@pytest.mark.parametrize("device", [ONE_CORE, H100], ids=lambda device: device.kind)
@pytest.mark.parametrize("rate", [40.0, 300.0, 90_000.0])
def test_a_rate_is_found_again_in_the_seconds_of_a_step(device: DeviceFacts, rate: float) -> None:
    step = step_seconds(
        SMALL, calibrated(device, rate, rate), "bf16", "lora", tokens=1024 / PADDING, trainable=1_000_000
    )
    reading = 2 * SMALL.block_parameters * 1024 / (rate * 1e9)
    found = rate_of(SMALL, device, "bf16", tokens=1024, trainable=1_000_000, step=step, reading=reading)
    assert found == pytest.approx((rate, rate), rel=0.01)


def test_a_precision_that_was_not_measured_keeps_the_rates_of_the_class() -> None:
    assert rates(calibrated(CPU, 1.0, 1.0), "fp32") == rates(CPU, "fp32")
    assert rates(calibrated(CPU, 1.0, 1.0), "bf16") != rates(CPU, "bf16")


def test_estimates_rest_on_it_and_say_so_and_nothing_else_changes() -> None:
    plain, given = compiled(), facts()
    fast = Facts(data=given.data, model=given.model, device=calibrated(CPU, 2000.0, 4000.0))
    made = compile_plan(Experiment.model_validate(plain.plan.experiment.model_dump()), fast)
    assert made.plan.hash == plain.plan.hash
    assert made.estimate.seconds.basis == "calibrated"
    assert made.estimate.seconds.mid < plain.estimate.seconds.mid
    assert plain.estimate.seconds.basis == "heuristic"
