"""Which trials share their steps, how many at a time, and what that saves.

A step of one small trial leaves a device waiting: for kernels to be launched (GPUs), for the optimizer and for products
with few rows (processors). Several trials on one frozen base fill it, until the products themselves take all of the
time; from there on packing adds nothing, and a trial that ends waits for its neighbours. So trials are packed to that
point, never to full memory (performance of packed LoRA training: arXiv 2508.02932 reports gains at batch 1 to 4 only,
arXiv 2312.02515 2 to 8 % at 4,096 tokens a step).
"""

from collections.abc import Mapping, Sequence

from fewtune.compiler.arm import Arm
from fewtune.compiler.cost import step_seconds
from fewtune.compiler.facts import DeviceFacts, ModelFacts
from fewtune.compiler.memory import Load, peak_bytes
from fewtune.compiler.price import Packing
from fewtune.specs.frozen import Frozen
from fewtune.specs.methods import OWN_WEIGHTS, Adaptation

Key = tuple[object, ...]

PACKED: tuple[Adaptation, ...] = ("lora", "qlora")
"""Adaptations whose trials may share their steps."""
MOST = 32
"""Trials that share a step, at most."""
WORTH = 1.1
"""Times as fast that a pack must be: below it, the estimate's own error is larger."""
NEAR = 1.05
"""A pack this close to the best one is large enough."""
MOST_WORKERS = 4
"""Workers that share a processor, at most: each has its own base model, and starts in some seconds of all cores."""


def workers(device: DeviceFacts) -> int:
    """How many workers a run usually has, each with its share of the trials: one for each GPU, or for each core."""
    return min(device.cores, MOST_WORKERS) if device.kind == "cpu" else device.count


class Shape(Frozen):
    """What a step of one trial of a group is, the largest of its arms."""

    tokens: float
    """Mean tokens of a step."""
    micro_batch: int
    longest: int
    trainable: int
    written: int = 0
    """Tokens of a target whose logits are kept; 0 where labels are given."""


def alone(arm: Arm) -> str:
    """Why an arm without a key trains alone."""
    if arm.encoded:
        return "it moves an encoder, and shared steps are built for the language model"
    if arm.adaptation in OWN_WEIGHTS:
        return "it moves the base's own weights, which nobody else could share"
    if arm.pattern_use == "search":
        return "each of its trainings may take another pattern and other label words"
    if arm.distillation is not None:
        return "it learns from a teacher's answers, and shared steps are built for labels"
    if any(recipe.pretraining_steps for recipe in arm.recipes):
        return "it starts from continued pre-training, and shared steps from new parameters"
    if arm.preference is not None:
        return "it weighs texts against each other, and shared steps are built for answers that stand alone"
    if arm.marks is not None:
        return "it learns several labels of a text, and shared steps are built for one at a place"
    return "shared steps are built for LoRA with one learning rate"


def key(arm: Arm) -> Key | None:
    """What arms must agree on to share their steps; None: an arm that trains alone."""
    if arm.lora is None or arm.adaptation not in PACKED or arm.lora.lr_ratio != 1.0:
        return None
    apart = arm.distillation is not None or arm.preference is not None or arm.marks is not None
    if apart or arm.pattern_use == "search" or arm.encoded:
        return None
    if any(recipe.pretraining_steps for recipe in arm.recipes):
        return None
    return (arm.precision, arm.adaptation, arm.formulation, tuple(sorted(arm.lora.targets)))


def packing(
    model: ModelFacts,
    device: DeviceFacts,
    arms: Sequence[Arm],
    shape: Shape,
    *,
    trials: int,
    steps: int,
    ready: int,
    limit: int,
) -> Packing:
    """Choose how many of a group's trials share a step.

    Args:
        model: the base.
        device: where.
        arms: of one key.
        shape: of their steps.
        trials: how many there are.
        steps: of all of them together.
        ready: how many of them can be at work at the same time, at most, on all workers.
        limit: bytes that a device may take.
    """
    fitting = max(k for k in range(1, MOST + 1) if k == 1 or _peak(model, device, arms[0], shape, k) <= limit)
    most = -(-min(trials, ready) // workers(device))
    each = {
        k: step_seconds(
            model, device, arms[0].precision, arms[0].adaptation,
            tokens=shape.tokens, trainable=shape.trainable, slots=k,
            masked=any(arm.masked for arm in arms),
        ) / k
        for k in range(1, min(most, fitting) + 1)
    }  # fmt: skip
    slots, because = _chosen(each, shape, trials=trials, most=most, fitting=fitting)
    return Packing(
        arms=tuple(arm.name for arm in arms),
        trials=trials,
        slots=slots,
        fitting=fitting,
        alone_seconds=round(steps * each[1], 3),
        packed_seconds=round(steps * each[slots], 3),
        because=because,
    )


def _chosen(each: Mapping[int, float], shape: Shape, *, trials: int, most: int, fitting: int) -> tuple[int, str]:
    """(trials that share a step, why); `each` has the seconds of a trial's step by how many share it."""
    best = min(each.values())
    slots = next(k for k in each if each[k] <= NEAR * best)
    gain = each[1] / each[slots]
    said = f"a step of one trial has {shape.tokens:.0f} tokens and takes {each[1]:.2f} s"
    if most == 1:
        return 1, "there is one training only" if trials == 1 else "each worker has one training at a time"
    if fitting == 1:
        return 1, f"{said}; two trainings at a time do not fit into memory"
    if gain < WORTH:
        return 1, f"{said}, most of it in products: sharing steps would be {max(1.0, gain):.2f} times as fast"
    return slots, f"{said}; {slots} together take {slots * each[slots]:.2f} s, {gain:.1f} times as fast"


def _peak(model: ModelFacts, device: DeviceFacts, arm: Arm, shape: Shape, slots: int) -> int:
    """Predicted peak of a pack: the rows and the moving parameters of all its slots."""
    moving, rows = slots * shape.trainable, slots * shape.micro_batch
    load = Load(arm.adaptation, arm.precision, moving, rows, shape.longest, shape.written)
    return peak_bytes(model, device, load)
