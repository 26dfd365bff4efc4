"""Faults of values: wrong type, out of range, wrong unit, near-miss word, not finite."""

from math import inf, nan
from random import Random
from typing import Any

from mutations import clues
from mutations.fault import Fault, Parts, Spec, get, keys, leaves, put, replaced
from mutations.keys import typo


def wrong_type(chance: Random, spec: Spec) -> Fault | None:
    parts = chance.choice([place for place in keys(spec.bad) if place != ("spec_version",)])
    was = get(spec.bad, parts)
    forms = _forms(was, spec.form)
    if not forms:
        return None
    wrong = chance.choice(forms)
    return replaced(spec, "wrong type", parts, wrong, lost=clues.of_type(spec.bad, parts, was, wrong))


def _forms(value: Any, form: str) -> list[Any]:
    """The value as somebody else might write it."""
    null: list[Any] = [None] if form == "json" else []
    if isinstance(value, bool):
        return [str(value).lower(), "yes" if value else "no", int(value), [value], *null]
    if isinstance(value, (int, float)):
        return [str(value), [value], {"value": value}, value + 0.5, True, f"about {value}", *null]
    if isinstance(value, str):
        return [[value], {"name": value}, 3, True, *null]
    if isinstance(value, list):
        words = [str(item) for item in value if not isinstance(item, dict)]
        return [", ".join(words), words, [value], {str(i): item for i, item in enumerate(value)}, *null]
    if isinstance(value, dict):
        return [next(iter(value.values()), 1), [value], str(next(iter(value), "x")), *null]
    return []


def out_of_range(chance: Random, spec: Spec) -> Fault | None:
    numbers = [(p, v) for p, v in leaves(spec.bad) if _is_number(v) and p != ("spec_version",)]
    if not numbers:
        spec.plant(("evaluation", "data_seeds"), 4)
        numbers = [(("evaluation", "data_seeds"), 4)]
    parts, value = chance.choice(numbers)
    wrong = (
        [-value, 0, value * 10_000, value * 100, 10**9] if isinstance(value, int) else [-value, value * 100, 1.5, 50]
    )
    return replaced(spec, "out of range", parts, chance.choice(wrong))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


SIZES = (8, "8", "8 h", "8 gigabytes", "8G", "8 GB RAM", "8,5 GB", "8192", 8192, 8e9, "GB 8", "8 Go")
TIMES = (
    2,
    "2",
    "2 GB",
    "2 hrs",
    "2hr",
    "1h30m",
    "1 h 30 min",
    "PT2H",
    "02:00:00",
    "2,5 h",
    "two hours",
    7200,
    120,
    "2 H.",
)
QUANTITIES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "gpu_memory": ("8 GB", SIZES), "disk": ("20 GB", SIZES), "wall_time": ("2 h", TIMES), "gpu_hours": ("2 h", TIMES),
    "latency": ("5 s", (5, 5000, "5 secs", "5 sec.", "5000 millis", "5 GB", "5")),
}  # fmt: skip
"""Limit -> a sound value, and others without a sound unit."""


def wrong_unit(chance: Random, spec: Spec) -> Fault | None:
    name = chance.choice(list(QUANTITIES))
    sound, wrong = QUANTITIES[name]
    parts: Parts = ("constraints", name)
    if not isinstance(get(spec.bad, ("constraints",)), (dict, type(None))):
        return None
    if name == "latency" and get(spec.good, ("task", "type")) == "preference":
        return None  # nothing answers so fast there, so the limit would not be sound
    if get(spec.bad, parts) is None:
        spec.plant(parts, sound)
    return replaced(spec, "wrong unit", parts, chance.choice(wrong))


WORDS: dict[str, tuple[str, ...]] = {
    "classification": ("text-classification", "classify", "sentiment", "text_classification"),
    "pair-classification": ("nli", "pairs", "sentence-pair-classification", "pair classification"),
    "summarisation": ("summarization", "summary", "summarize"),
    "question-answering": ("qa", "question answering", "extractive-qa"),
    "generation": ("text-generation", "generate", "text generation"),
    "preference": ("preferences", "dpo", "preference-learning"),
    "multi-label": ("multilabel", "multi-label-classification", "multi label"),
    "sequence-labelling": ("sequence-labeling", "ner", "token-classification", "tagging"),
    "macro_f1": ("f1", "f1_macro", "macro-f1"), "accuracy": ("acc", "Accuracy"), "mcc": ("matthews", "MCC"),
    "rouge_l": ("rouge", "rougeL", "ROUGE-L"), "exact_match": ("em", "exact match"), "micro_f1": ("f1_micro", "f1"),
    "held-out": ("holdout", "held_out", "heldout"), "fixed-schedule": ("fixed", "fixed_schedule", "none"),
    "cosine": ("cosine_with_restarts", "Cosine", "cos"), "fp32": ("float32", "FP32", "32"), "pfeiffer": ("Pfeifer",),
    "pattern+lora": ("lora", "pattern-lora", "pattern+LoRA", "lora+pattern"), "head+lora": ("head-lora", "cls+lora"),
    "generate+lora": ("generation+lora", "generate-lora"), "in-context": ("icl", "in_context", "few-shot"),
    "majority": ("majority-class",), "tfidf": ("tf-idf", "tf_idf"), "zero-shot": ("zeroshot", "zero_shot"),
    "ensemble": ("ensembles",), "contextual": ("context",), "context-distillation": ("distillation",),
    "dpo+lora": ("dpo",), "setfit": ("set-fit", "SetFit"), "head+full": ("head-full", "full"),
}  # fmt: skip
"""A word of the language -> other words for it."""
ENUMERATED = frozenset({
    "type", "metric", "validation", "schedule", "precision", "placement", "objective", "pattern_use", "calibration",
    "demonstrations_by", "method", "include", "exclude",
})  # fmt: skip


def near_miss_word(chance: Random, spec: Spec) -> Fault | None:
    found = [(p, v) for p, v in leaves(spec.bad) if isinstance(v, str) and ENUMERATED & set(p[-2:])]
    found = [(p, v) for p, v in found if p[:2] != ("data", "validation")]
    if not found:
        return None
    parts, word = chance.choice(found)
    variants = [
        typo(chance, word),
        word.upper(),
        word.replace("-", "_"),
        word.replace("+", "_"),
        word.title(),
        word + "s",
    ]
    variants += WORDS.get(word, ()) * 2
    return replaced(spec, "near-miss word", parts, chance.choice(variants))


def not_finite(chance: Random, spec: Spec) -> Fault | None:
    numbers = [p for p, v in leaves(spec.bad) if _is_number(v) and p != ("spec_version",)]
    if not numbers:
        spec.plant(("evaluation", "data_seeds"), 4)
        numbers = [("evaluation", "data_seeds")]
    parts = chance.choice(numbers)
    was = get(spec.bad, parts)
    wrong = chance.choice([nan, inf, -inf])
    put(spec.bad, parts, wrong)
    return Fault("non-finite number", tuple(_places(parts)), was, lost=clues.of_number(parts, wrong))


def _places(parts: Parts) -> list[str]:
    from mutations.fault import pointer

    return [pointer(parts)]
