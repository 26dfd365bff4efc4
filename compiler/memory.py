"""Bytes on the device: weights, moving parameters, optimizer, activations. Arithmetic only.

Sources: ZeRO (arXiv 1910.02054) for the static part; for activations the shape of arXiv 2205.05198 section 4.1,
s b h L (x + y a s / h) bytes with nothing recomputed, and x and y as the engine's own steps have them, which
tests/bench/memory.py measures. Parameter-efficient tuning removes gradients and optimizer state and leaves activations
as they are. Full fine-tuning works on a copy beside the resident base.
"""

from dataclasses import dataclass

from fewtune.compiler.arm import Precision
from fewtune.compiler.facts import DeviceFacts, ModelFacts
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import OWN_WEIGHTS, Adaptation

HEADROOM = 1.1
"""Fragmentation and workspaces."""
WORKSPACE = 100_000_000
"""Bytes of buffers, allocator slack and code that loading and a first step bring with them."""
KEPT = 27
"""Numbers of the hidden size that a token leaves in each block for the backward pass: inputs of norms, products and
the gated MLP's three wide tensors, and what the backward pass of one block adds (fitted; the published count for a
plain MLP is 17)."""
WEIGHTS = 1.2
"""Numbers kept for each attention weight: itself, and a fifth for the one block that is on its way back."""
CONTEXT = 1_340_000_000
"""Bytes of a CUDA context with its libraries (transformers, "model training anatomy")."""
USABLE = 0.85
"""Share of a device's memory that a trial may plan with."""
FOUR_BITS = 0.516
"""Bytes of a weight in nf4: 4 bits, an 8-bit scale for 64 weights, and an fp32 scale for 256 of these."""
LOGIT_BYTES = 14
"""Bytes of one logit in training: in the base's precision, in fp32, its log-probability and both gradients."""
ADAM = 16
"""Bytes of one moving parameter: fp32 weight, gradient and two moments."""
COPIES = 4
"""Bytes that full fine-tuning adds: in bf16 what the model computes with and its gradients, in fp32 the result, which
is copied at the end."""


@dataclass(frozen=True)
class Load:
    """What one worker holds at its peak."""

    adaptation: Adaptation
    precision: Precision
    trainable: int
    micro_batch: int
    tokens: int
    """Tokens of the longest sequence."""
    logits: int = 0
    """Tokens of a target whose logits over the whole vocabulary are kept; 0: those of the labels, which are few."""
    depth: float = 1.0
    """Share of the blocks that keep activations: those above the lowest parameter that moves."""


def element_bytes(precision: Precision) -> int:
    """Bytes of one number of the base model."""
    return 2 if precision == "bf16" else 4


def lora_parameters(model: ModelFacts, rank: int, targets: tuple[str, ...]) -> int:
    """Count r (d_in + d_out) for each targeted matrix."""
    return sum(rank * (site.d_in + site.d_out) * site.count for site in model.linears if site.name in targets)


def activation_bytes(model: ModelFacts, load: Load) -> int:
    """Activations kept for the backward pass, nothing recomputed, attention weights stored."""
    numbers = KEPT + WEIGHTS * model.heads * load.tokens / model.hidden
    written = LOGIT_BYTES * load.micro_batch * load.logits * model.vocabulary
    blocks = max(1.0, load.depth * model.layers)
    kept = element_bytes(load.precision) * load.tokens * load.micro_batch * model.hidden * blocks * numbers
    return round(kept) + written


def base_bytes(model: ModelFacts, load: Load) -> int:
    """The resident base. In four bits: nf4 linear layers, the rest as it is, and the largest layer dequantised."""
    p = element_bytes(load.precision)
    if load.adaptation != "qlora":
        return p * model.parameters
    largest = max(linear.d_in * linear.d_out for linear in model.linears)
    return round(FOUR_BITS * model.block_parameters) + p * (model.parameters - model.block_parameters + largest)


def peak_bytes(model: ModelFacts, device: DeviceFacts, load: Load) -> int:
    """Predicted peak of one trial, base model included."""
    base = base_bytes(model, load)
    moving = (ADAM + (COPIES if load.adaptation in OWN_WEIGHTS else 0)) * load.trainable
    activations = activation_bytes(model, load)
    if load.adaptation == "none":
        activations = round(activations * 2 / model.layers)
    return round((base + moving + activations) * HEADROOM) + fixed_bytes(device)


def load_bytes(model: ModelFacts, device: DeviceFacts, load: Load) -> int:
    """Predicted peak while the base is read, tensor by tensor."""
    return round(base_bytes(model, load) * HEADROOM) + fixed_bytes(device)


def fixed_bytes(device: DeviceFacts) -> int:
    """What the first use of a device takes, whatever is done on it."""
    return CONTEXT if device.kind == "cuda" else WORKSPACE


def limit_bytes(experiment: Experiment, device: DeviceFacts) -> int:
    """What a trial may take: the spec's limit or the usable part of the device, whichever is less."""
    usable = round(device.memory_gib * 2**30 * USABLE)
    given = experiment.constraints.gpu_memory
    return min(usable, given.bytes) if given else usable
