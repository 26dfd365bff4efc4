"""What fits, scores and trials are named by: everything that can change their result, and nothing else."""

import re
from functools import cache
from typing import Any

from fewtune.compiler.arm import REGRESSED, Arm, Recipe
from fewtune.compiler.encoder import ENCODER, network
from fewtune.compiler.facts import Facts
from fewtune.compiler.fingerprint import canonical, composed, fingerprint, hashed, seed
from fewtune.compiler.plan import Sample
from fewtune.compiler.sample import pretrained_on
from fewtune.specs.evaluation import LABEL_METRICS, Metric

FOUR_BITS = "nf4, blocks of 64, double quantisation, linear layers of the blocks"
"""What a base in four bits is; other arms name none."""

GEOMETRY = {"adapter", "virtual_tokens", "top_layers", "layer_decay", "preference"}
"""Fields of an arm that say what moves beside LoRA, and how it learns from preferences."""

PROMPTING = {"pattern_use", "patterns", "verbalizers", "demonstrations_by", "calibration"}
"""Fields of an arm that say how the model is asked, beside the pattern."""

APART = {"n", "micro_batch", "demonstrations", "penalty", "transfer", "pretraining_steps", "replay", "pair_iterations"}
"""Fields of a recipe that change nothing, or are named elsewhere."""


def slug(name: str) -> str:
    """An arm's name as part of an id: "pattern + LoRA r=8" -> "pattern-lora-r8"."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower().replace("=", "")).strip("-")


@cache
def init_seed(data_seed: int, model_seed: int) -> int:
    """Seed of new parameters."""
    return seed("init", data_seed, model_seed)


@cache
def order_seed(data_seed: int, model_seed: int) -> int:
    """Seed of the training order (and of demonstrations)."""
    return seed("order", data_seed, model_seed)


def fit_content(facts: Facts, arm: Arm, recipe: Recipe, words: dict[str, str]) -> dict[str, str]:
    """What an arm's fits at one data size share, each value in canonical form.

    Resolved values, model, dtype; no reasons, device or micro-batch.
    """
    content: dict[str, Any] = {"formulation": arm.formulation, "labels": facts.data.labels}
    if arm.marks is not None:
        content["marks"] = arm.marks
    if arm.formulation == "encoder":
        content["encoder"] = ENCODER.model_dump(mode="json")
    if arm.formulation in REGRESSED:
        content["penalty"] = recipe.penalty
    if arm.encoded:
        content |= _encoder_content(facts, arm)
        content["pairs"] = recipe.pair_iterations
    if not arm.plain:
        content |= model_content(facts, arm, words)
        content["demonstrations"] = recipe.demonstrations
    if arm.trained:
        content["recipe"] = recipe.model_dump(mode="json", exclude=APART)
        # Without defaults: a setting that came later leaves the names of older fits as they are.
        content["lora"] = arm.lora.model_dump(mode="json", exclude_defaults=True) if arm.lora else None
        content |= arm.model_dump(mode="json", include=GEOMETRY, exclude_defaults=True)
        if recipe.pretraining_steps:
            content["pretraining"] = _pretraining(facts, recipe)
        if arm.distillation is not None:
            taught = arm.distillation.model_dump(mode="json")
            if taught["calibration"] == "none":
                del taught["calibration"]  # it came later
            content |= {"objective": arm.objective, "distillation": taught}
    return {name: canonical(value) for name, value in content.items()}


def _encoder_content(facts: Facts, arm: Arm) -> dict[str, Any]:
    """What every use of a tuned encoder depends on."""
    encoder = network(facts, arm.formulation)
    return {
        "adaptation": arm.adaptation,
        "max_tokens": arm.max_tokens,
        "precision": arm.precision,
        "encoder": [encoder.weights_hash, encoder.tokenizer_hash],
    }


def _pretraining(facts: Facts, recipe: Recipe) -> dict[str, Any]:
    """What continued pre-training depends on beside the arm."""
    rows = pretrained_on(facts.data, recipe)
    texts = {name: [facts.data.splits[name].groups[row] for row in found] for name, found in rows.items()}
    return {
        "steps": recipe.pretraining_steps,
        "texts": {name: fingerprint("rows", each) for name, each in texts.items()},
    }


def fit_fingerprint(
    shared: dict[str, str], sample: Sample, model_seed: int | None, transfer: str = "", synthetic: str = ""
) -> str:
    """Name a fitted state by what the arm's fits share, the data and the seeds.

    Args:
        shared: what `fit_content` gave.
        sample: the labels.
        model_seed: of a trained arm.
        transfer: hash of the texts that a teacher answers; empty where there is none.
        synthetic: what makes the synthetic examples; empty where there are none.
    """
    own = {"sample": f'"{sample.content}"', "order_seed": str(order_seed(sample.data_seed, model_seed or 0))}
    if model_seed is not None:
        own["init_seed"] = str(init_seed(sample.data_seed, model_seed))
    if transfer:
        own["transfer"] = canonical(transfer)
    if synthetic:
        own["synthetic"] = canonical(synthetic)
    return composed("fit", shared | own)


def model_content(facts: Facts, arm: Arm, words: dict[str, str]) -> dict[str, Any]:
    """What every use of the language model depends on; predictions name labels by their place in the list."""
    if arm.plain:
        return {"formulation": arm.formulation}
    how: dict[str, Any] = {"generation": arm.generation.model_dump(mode="json")} if arm.generation else {}
    if arm.demonstrations_by == "nearest":
        how["encoder"] = ENCODER.model_dump(mode="json")
    # Without defaults: prompts of one pattern keep their names.
    how |= arm.model_dump(mode="json", include=PROMPTING, exclude_defaults=True)
    return how | {
        "labels": facts.data.labels,
        "adaptation": arm.adaptation,
        "pattern": arm.pattern,
        "words": words if arm.formulation in ("pattern", "in-context") or "{labels}" in (arm.pattern or "") else None,
        "max_tokens": arm.max_tokens,
        "precision": arm.precision,
        "model": facts.model.weights_hash,
        "tokenizer": facts.model.tokenizer_hash,
        **({"base": FOUR_BITS} if arm.four_bit else {}),
    }


def score_fingerprint(fit: str, split: str, content: str, metrics: tuple[Metric, ...] = LABEL_METRICS) -> str:
    """Name an evaluation: what was fitted, and the scored rows with their labels or targets."""
    # in canonical form: names in their order, `fit` and `content` are hexadecimal digits
    rest = f'"metrics":{_written(metrics)},"split":{_written(split)}'
    return hashed("score", f'{{"content":"{content}","fit":"{fit}",{rest}}}')


def trial_fingerprint(fits: list[str]) -> str:
    """Name a trial by its fits, in canonical form."""
    return hashed("trial", "[" + ",".join([f'"{fit}"' for fit in fits]) + "]")


_written = cache(canonical)
