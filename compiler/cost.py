"""Seconds: floating-point operations over a device class's rate, and what does not shrink.

A token costs 2 P operations forward through the blocks' P parameters, 4 P when it is trained with a frozen base
(forward and the gradient of the activations), 6 P when all parameters move; the readout takes the label rows only.
The rates are a table by device class, so that a plan is the same on every machine of that class; they are rough, and
the range says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fewtune.compiler.arm import Precision
from fewtune.compiler.encoder import ENCODER
from fewtune.compiler.facts import Calibration, DeviceFacts, ModelFacts
from fewtune.compiler.price import Range
from fewtune.specs.methods import Adaptation, MethodName

CPU_RATES: dict[str, tuple[float, float]] = {
    "cpu amx-bf16": (85.0, 135.0),
    "cpu avx512-bf16": (195.0, 300.0),
    "cpu avx512": (42.0, 50.0),
    "cpu avx2": (55.0, 65.0),
    "cpu neon": (20.0, 25.0),
    "cpu": (8.0, 10.0),
}
"""Class -> GFLOP/s a core when training, and forward only. amx-bf16, avx512-bf16 and avx2 are measured, one thread
a job (tests/bench/step.py, quickstart.py, packing.py; regret.py with `fewtune evidence`)."""
FP32_CORE = (42.0, 50.0)
"""GFLOP/s a core in fp32 on a processor whose class is faster in bf16."""
MEASURED_CUDA = 450e3
"""GFLOP/s of the products of a bf16 step on an H100 (tests/bench/packing_7B.md)."""
CUDA_RATES: tuple[tuple[str, float], ...] = (
    ("H200", MEASURED_CUDA), ("H100", MEASURED_CUDA), ("A100", 200e3), ("L40", 160e3), ("4090", 145e3), ("A10", 70e3),
    ("3090", 70e3), ("T4", 27e3), ("", 54e3),
)  # fmt: skip
"""Part of the device's name -> the same; all but the H100 are in proportion to their dense peaks."""
CUDA_FORWARD = 0.8
"""Rate of a pass forward, launched kernel by kernel, as a share of the products' of a step."""
CUDA_BETWEEN = (5e-8, 1.2e-11)
"""Seconds of a layer for each token of a step that pass between the products, where memory is read and written: fixed,
and for each unit of the widths. Fitted to 135M, 1.2B and 7B on an H100, where they give 0.8 to 1.1 times the measured
seconds (tests/bench/packing.md)."""
CUDA_LAYER = 3.8e-4
"""Seconds of a layer in a recorded step that depend neither on tokens nor on trials: kernels at their shortest."""
CUDA_LAUNCHED = 4.8e-3
"""Seconds of a layer below which a step does not fall that is launched kernel by kernel (143 ms for 30 layers)."""
LAYER_OVERHEAD = 1.1e-3
"""Seconds of a layer in a step on a processor that depend neither on tokens nor on trials."""
ONCE: dict[Precision, float] = {"bf16": 237.0, "fp32": 37.0}
"""Tokens in whose time a processor reads and rearranges the weights for the products of a step, once for all trials
that share it. bf16: fitted to 4 and 8 trials of 480 tokens, and to the grid (tests/bench/grid.md), with AMX; fp32: 36
and 39 found with 8 rows of 8 tokens, with AVX-512 and AVX2 (tests/bench/packing_135M_cpu.md, packing_135M_avx2.md)."""
MOST_ONCE = 0.4
"""The largest share of a step's products that was found to be paid once."""
SLOT_OVERHEAD = 0.5e-3
"""Seconds that each trial adds to a step, its batch, clipping and schedule (tests/bench/packing.py)."""
CUDA_SLOT = 0.15e-3
"""The same on a GPU: its batch and its AdamW."""
CUDA_LAUNCHED_SLOT = 1.9e-3
"""The same where AdamW is launched kernel by kernel."""
MASKED = {"cpu": 1.5e8, "cuda": 2e10}
"""Numbers a second that are drawn for dropout, of one core or on a GPU; the latter is a guess."""
MASKED_LAYER = {"cpu": 0.0, "cuda": 0.02}
"""Seconds of a layer for launching the masks of all rows, twice; a guess."""
MOVE = 3e-9
"""Seconds of AdamW for one parameter on a processor."""
PADDING = 1.12
"""Tokens computed for each real one in a training batch."""
FOUR_BITS = 1.4
"""Times as long as on a base in 16 bit, for dequantising at each pass: 1.29 and 1.39 are published (R-145)."""
DECOMPOSED = 10.0
"""Times that DoRA reads the blocks' weights in a step, for the length of each output's weights: LoRA took 2.6 s and it
3.1 s a step with 135M in fp32 and AVX2 (tests/bench/methods_agnews.md)."""
GENERAL_TOKENS = 560
"""Tokens of the fixed text by which forgetting is measured after each training."""
LOWEST, HIGHEST = 0.1, 1e7
"""GFLOP/s that a device may have."""
START = {"in-process": 7.0, "ray": 16.0}
"""Seconds before the first trial: imports, workers, model."""
FINISH = 2.0
"""Seconds after the last: statistics and the published results."""
TFIDF_SECONDS = 1.5
REGRESSION_SECONDS = 0.3
"""Logistic regression on frozen features."""
ROWS_TOGETHER = {"cpu": 32, "cuda": 128}
"""Rows that are usually written in one batch."""
BYTES_A_SECOND = {"cpu": 10e9, "cuda": 1e12}
"""Rate at which weights are read."""
LAYER_STEP = {"cpu": 8e-4, "cuda": 8e-4}
"""Seconds of one layer for one token that depend on neither rows nor widths: calls of small operations."""
LOW, HIGH = 0.6, 1.7
"""The range around a heuristic estimate that nearly all runs fall into."""
CALIBRATED = 0.7, 1.5
"""The same where the machine's rates, or adopted runs, were measured: what else it does at the time stays unknown."""
SPREAD = 0.95
"""Power of the number of cores by which their rates add up."""


@dataclass(frozen=True)
class Rates:
    """What a device class does in a second, in floating-point operations."""

    train: float
    forward: float


def rates(device: DeviceFacts, precision: Precision) -> Rates:
    """What was measured on this machine, else what its class does."""
    known = device.calibration.rates.get(precision) if device.calibration else None
    late = 1.0 if known or device.pace is None else device.pace.ratio
    if device.kind == "cuda":
        if known:
            return Rates(*(rate * 1e9 for rate in known))
        flops = next(rate for part, rate in CUDA_RATES if part in device.name) * 1e9 / late
        flops *= 1.0 if precision == "bf16" else 0.3
        return Rates(train=flops, forward=CUDA_FORWARD * flops)
    train, forward = known or CPU_RATES.get(device.name, CPU_RATES["cpu"])
    if precision == "fp32" and device.bf16 and not known:
        train, forward = FP32_CORE
    cores = min(device.cores, 32) ** SPREAD / late
    return Rates(train=train * 1e9 * cores, forward=forward * 1e9 * cores)


def forward_flops(model: ModelFacts, tokens: float) -> float:
    """Operations of one forward pass over so many tokens."""
    return 2.0 * model.block_parameters * tokens


def slower(adaptation: Adaptation) -> float:
    """How many times as long a pass takes as on a base in its own precision."""
    return FOUR_BITS if adaptation == "qlora" else 1.0


def step_seconds(
    model: ModelFacts, device: DeviceFacts, precision: Precision, adaptation: Adaptation, *,
    tokens: float, trainable: int, slots: int = 1, masked: bool = False, depth: float = 1.0, recorded: bool = True,
) -> float:  # fmt: skip
    """Seconds of one training step.

    Args:
        model: the base.
        device: where.
        precision: of the base.
        adaptation: what moves.
        tokens: of each training.
        trainable: moving parameters of each training.
        slots: trainings that share the step.
        masked: whether inputs drop out: then a GPU's step is not recorded.
        depth: share of the blocks that a backward pass goes through.
        recorded: whether a GPU replays the steps of low-rank updates: an encoder's are launched kernel by kernel.
    """
    backward = (4.0 if adaptation in ("full", "top") else 2.0) * depth
    flops = (2.0 + backward) * model.block_parameters * tokens * PADDING
    alone = flops / rates(device, precision).train * slower(adaptation)
    if adaptation == "dora":
        width = 2 if precision == "bf16" else 4
        alone += DECOMPOSED * width * model.block_parameters / BYTES_A_SECOND[device.kind]
    if device.kind == "cuda":
        products = alone * slots
        fixed, wide = CUDA_BETWEEN
        each = (fixed + wide * (model.hidden + model.intermediate)) * MEASURED_CUDA * 1e9
        work = products + each / rates(device, precision).train * model.layers * tokens * PADDING * slots
        if adaptation == "lora" and recorded and not masked:
            return model.layers * CUDA_LAYER + work + slots * CUDA_SLOT
        drawn = mask_seconds(model, device, slots * tokens) if masked else 0.0
        return max(work, model.layers * CUDA_LAUNCHED) + drawn + slots * CUDA_LAUNCHED_SLOT
    once = min(MOST_ONCE, ONCE[precision] / (tokens + ONCE[precision]))
    products = alone * (once + (1.0 - once) * slots) + (mask_seconds(model, device, slots * tokens) if masked else 0.0)
    return products + model.layers * LAYER_OVERHEAD + slots * (SLOT_OVERHEAD + trainable * MOVE)


def mask_seconds(model: ModelFacts, device: DeviceFacts, tokens: float) -> float:
    """Seconds of the masks of one step: a number for each input of each linear layer, drawn twice."""
    numbers = 2.0 * tokens * sum(linear.d_in * linear.count for linear in model.linears)
    cores = min(device.cores, 32) ** SPREAD if device.kind == "cpu" else 1.0
    return numbers / (MASKED[device.kind] * cores) + model.layers * MASKED_LAYER[device.kind]


def rate_of(
    model: ModelFacts, device: DeviceFacts, precision: Precision, *, tokens: int, trainable: int, step: float,
    reading: float,
) -> tuple[float, float]:  # fmt: skip
    """The rates with which the formulas of this module give what was measured.

    Args:
        model: what was trained by LoRA, and read.
        device: one core, or one GPU.
        precision: of the base.
        tokens: of a step and of a reading, none of them padding.
        trainable: moving parameters.
        step: its seconds.
        reading: its seconds.

    Returns:
        GFLOP/s when training, and forward only; the highest rate there is where a step took less than its fixed part.
    """

    def took(rate: float) -> float:
        calibrated = device.model_copy(update={"calibration": Calibration(rates={precision: (rate, rate)})})
        real = tokens / PADDING
        return step_seconds(model, calibrated, precision, "lora", tokens=real, trainable=trainable)

    low, high = LOWEST, HIGHEST
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if took(middle) > step else (low, middle)
    return high, min(forward_flops(model, tokens) / reading / 1e9, HIGHEST)


def scoring_seconds(model: ModelFacts, device: DeviceFacts, precision: Precision, tokens: float) -> float:
    """Seconds of forward passes over so many tokens, sorted by length."""
    return forward_flops(model, tokens * 1.03) / rates(device, precision).forward + 0.05


def general_seconds(model: ModelFacts, device: DeviceFacts, precision: Precision) -> float:
    """Seconds of reading the fixed text of general ability, with the logits of the whole vocabulary."""
    logits = 2.0 * model.hidden * model.vocabulary * GENERAL_TOKENS
    return (forward_flops(model, GENERAL_TOKENS) + logits) / rates(device, precision).forward


def encoding_seconds(device: DeviceFacts, tokens: float) -> float:
    """Seconds of the sentence encoder over so many tokens, in fp32."""
    return 2.0 * ENCODER.block_parameters * tokens * 1.03 / rates(device, "fp32").forward + 0.05


def writing_seconds(
    model: ModelFacts, device: DeviceFacts, precision: Precision, rows: int, new_tokens: float
) -> float:
    """Seconds of writing so many tokens after each row, which is read already: a pass over all weights for each token.

    Rows that are written together share the pass; it takes what reading the weights, the operations or the launches
    take, whichever is most. The longest text of a batch keeps it going, so texts count half as long again.
    """
    together = min(rows, ROWS_TOGETHER[device.kind])
    weights = (2 if precision == "bf16" else 4) * model.parameters
    flops = 2.0 * (model.block_parameters + model.hidden * model.vocabulary) * together
    each = max(
        weights / BYTES_A_SECOND[device.kind] + LAYER_STEP[device.kind] * model.layers,
        flops / rates(device, precision).forward,
    )
    return 1.5 * new_tokens * each * -(-rows // together) if new_tokens else 0.0


def around(seconds: float, device: DeviceFacts, methods: Iterable[MethodName]) -> Range:
    """The range of an estimate of these methods."""
    basis: Literal["heuristic", "scaled", "calibrated", "measured"] = "heuristic"
    if device.calibration:
        basis = "calibrated"
    elif device.pace:
        basis = "measured" if set(methods) <= set(device.pace.methods) else "scaled"
    low, high = CALIBRATED if basis in ("calibrated", "measured") else (LOW, HIGH)
    return Range(low=round(low * seconds, 3), mid=round(seconds, 3), high=round(high * seconds, 3), basis=basis)
