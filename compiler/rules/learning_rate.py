"""Peak learning rate."""

from dataclasses import replace

from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.situation import Choice, RecipeSituation, otherwise
from fewtune.compiler.weighing import fires, first
from fewtune.specs.methods import LOW_RANK

SMALL_MODEL = 1_000_000_000
SHORT_RUN = 100
"""Steps below which a run gains from a higher rate."""
ENCODER_FULL = 2e-5
"""Rate of full and of contrastive tuning of an encoder (R-053; arXiv 2209.11055 tunes with it, too)."""
SMALL_FULL = 5e-5
SMALL_ENCODER = 60
"""Millions of parameters below which full fine-tuning takes the higher rate: 22 million reach 0.81 on AG News from 32
labels in 60 steps, with the lower rate 0.74 (two seeds)."""
ENCODER_LORA = 5e-4
"""Rate of its low-rank updates."""


def learning_rate(s: RecipeSituation) -> Choice:
    """By what moves, the model's size and the number of steps."""
    choice = _of(s)
    if fires(s, "R-140"):
        slow = otherwise(choice.value / 2, "would forget less, over more steps; the rank is lowered instead", "R-140")
        choice = replace(choice, alternatives=(*choice.alternatives, slow))
    return choice


def _of(s: RecipeSituation) -> Choice:
    if s.arm.encoded:
        return _encoder(s)
    if s.arm.preference is not None:
        return _preferring(s)
    if s.arm.adaptation in LOW_RANK:
        return _lora(s)
    return _full(s) if s.arm.adaptation == "full" else _other(s)


def _preferring(s: RecipeSituation) -> Choice:
    """Rates of alignment are far below those of supervision; small models in short runs take more."""
    full = s.arm.adaptation == "full"
    small = s.facts.model.parameters < SMALL_MODEL and int(s.settled["steps"]) < SHORT_RUN
    published = 5e-7 if full else 5e-6
    if not small:
        return Choice(
            value=published,
            because=f"alignment of {s.facts.model.parameters / 1e9:.1f}B parameters: a hundredth of supervision's rate",
            rule=first(s, "R-125"),
            alternatives=(otherwise(2e-4, "supervision's: the texts fall apart"),),
            flips_when=f"a model below a billion parameters and fewer than {SHORT_RUN} steps",
        )
    return Choice(
        value=1e-5 if full else 1e-4,
        because=f"{s.settled['steps']} steps on {s.facts.model.parameters / 1e6:.0f}M parameters: the published rates "
        "are for long runs on large models, and would move nothing here",
        rule="design",
        alternatives=(otherwise(published, "moves next to nothing in so few steps"),),
        flips_when=f"{SHORT_RUN} steps or more, or a model of a billion parameters",
    )


def _lora(s: RecipeSituation) -> Choice:
    size, steps = s.facts.model.parameters, int(s.settled["steps"])
    if size < SMALL_MODEL and steps < SHORT_RUN:
        return Choice(
            value=5e-4,
            because=f"LoRA, {steps} steps, {size / 1e6:.0f}M parameters: short runs take up to fifteen times the "
            "rate of full fine-tuning, small models the upper end",
            rule="R-051" if s.writes else "M-001",
            alternatives=(otherwise(2e-4, "the usual value; too slow for this few steps", "R-049"),),
            flips_when=f"{SHORT_RUN} steps or more, or a model of a billion parameters",
        )
    value = 1e-4 if size >= 33e9 else 2e-4
    return Choice(
        value=value,
        because=f"LoRA on {size / 1e9:.1f}B parameters: ten times the rate of full fine-tuning",
        rule="R-049",
        alternatives=(otherwise(2e-5, "a rate for full fine-tuning: LoRA would hardly move", "R-048"),),
        flips_when="a model of 33B or more" if value > 1e-4 else "a model below 33B",
    )


def _other(s: RecipeSituation) -> Choice:
    trait = TRAITS[s.arm.adaptation]
    assert trait.rate is not None
    return Choice(
        value=trait.rate,
        because=f"{trait.shown}: fewer or other numbers move than with LoRA, and take a rate of their own",
        rule="design",
        alternatives=(otherwise(5e-4, "LoRA's rate for short runs", "M-001"),),
        flips_when="methods.pin.learning_rate is given",
    )


def _full(s: RecipeSituation) -> Choice:
    size = s.facts.model.parameters
    value = 5e-5 if size < SMALL_MODEL else 2e-5 if size < 10e9 else 5e-6
    return Choice(
        value=value,
        because=f"full fine-tuning of {size / 1e6:.0f}M parameters: larger models take lower rates",
        rule="R-048",
        alternatives=(otherwise(1e-5, "the published comparison's; hardly moves in so few steps", "R-052"),),
        flips_when="a model of another order of size",
    )


def _encoder(s: RecipeSituation) -> Choice:
    """Contrastive tuning and full fine-tuning take the recipe of BERT's kind, low-rank updates far more."""
    name, size = s.facts.model.place, s.facts.model.parameters / 1e6
    if s.arm.adaptation in LOW_RANK:
        return Choice(
            value=ENCODER_LORA,
            because=f"low-rank updates of an encoder of {size:.0f}M parameters, in few steps: as for small decoders",
            rule="design",
            alternatives=(otherwise(ENCODER_FULL, "a rate for full fine-tuning: LoRA would hardly move", "R-048"),),
            flips_when="methods.pin.learning_rate is given",
        )
    if s.arm.contrastive or size >= SMALL_ENCODER:
        return Choice(
            value=ENCODER_FULL,
            because=f"all of {name} moves ({size:.0f}M parameters): the recipe of BERT's kind, low and with a warm-up",
            rule=first(s, "R-053", "R-048"),
            alternatives=(otherwise(SMALL_FULL, "the upper end of the range, for small models", "R-048"),),
            flips_when="low-rank updates, or methods.pin.learning_rate",
        )
    return Choice(
        value=SMALL_FULL,
        because=f"all of {name} moves ({size:.0f}M parameters): small models take the upper end of the range",
        rule="R-048",
        alternatives=(otherwise(ENCODER_FULL, "the recipe of larger encoders: slow in so few steps", "R-053"),),
        flips_when=f"an encoder of {SMALL_ENCODER} million parameters or more",
    )
