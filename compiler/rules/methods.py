"""What the rules say of each method, in the order in which they would be chosen."""

from math import ceil

from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.cost import encoding_seconds
from fewtune.compiler.feasibility import LATENCY_OVERHEAD, fits, item_seconds, least_bytes
from fewtune.compiler.memory import limit_bytes
from fewtune.compiler.rules.demonstrations import CONTEXT
from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.compiler.weighing import fires, first, weighed
from fewtune.compiler.wording import fields
from fewtune.specs.methods import ENCODED, METHODS, PREFERENCES, Adaptation, MethodName, suits

TRAINED: tuple[MethodName, ...] = (
    "pattern+lora", "pattern+qlora", "head+lora", "head+qlora", "pattern+full", "head+full",
)  # fmt: skip
WRITERS: tuple[MethodName, ...] = ("generate+lora", "generate+qlora", "generate+full")
LEARNERS: tuple[MethodName, ...] = ("dpo+lora", "dpo+qlora", "orpo+lora", "kto+lora", "kto+qlora", "simpo+lora")
"""Trained methods in the rules' order: for labels, for texts, and for preferences."""
UNASKED = tuple(
    name
    for name, (posed, moves) in sorted(METHODS.items(), key=lambda item: item[1][0] == "encoder-head")
    if moves != "none" and (TRAITS[moves].unasked or posed in ENCODED or (name in PREFERENCES and name not in LEARNERS))
)
"""Trained methods that no rule wants: arms where the spec names them."""
FEW_PAIRS = 5_000
FULL_FROM = 100_000
"""Labels from which full fine-tuning of a decoder is worth an arm for its own sake (R-023); the 10,000
of R-017 are an encoder's."""


def methods(s: Situation) -> dict[MethodName, Choice]:
    """What the rules say of each method, with all evidence about the method or a part of it."""
    return {method: weighed(choice, {method: None} | dict.fromkeys(method.split("+")), s)
            for method, choice in _ruled(s).items()}  # fmt: skip


def _ruled(s: Situation) -> dict[MethodName, Choice]:
    """What the rules say of each method, in the rules' order."""
    if s.preferences is not None:
        return _ruled_preferring(s)
    if s.marks is not None:
        return _ruled_marking(s)
    if s.writes:
        return _ruled_writing(s)
    ruled: dict[MethodName, Choice] = {
        "majority": _yes("the least that any method must beat", "R-132"),
        "tfidf": _yes("a second of work, and the honest neighbour of every tuned small model", "M-002"),
        "encoder": _encoder(s),
        "probe": _probe(s),
        "zero-shot": _zero_shot(s),
        "in-context": _in_context(s),
    }
    for method in (*TRAINED, *UNASKED):
        if suits(method, s.experiment.task.type):
            ruled[method] = _trained(s, method)
    return ruled


def _ruled_marking(s: Situation) -> dict[MethodName, Choice]:
    """The same where a text has several labels: baselines, then a head with each adaptation.

    A pattern ends in one word, and its place has one answer; several labels, or one for each word, need a head.
    """
    ruled: dict[MethodName, Choice] = {}
    if s.marks == "set":
        ruled["majority"] = _yes("the most frequent set of labels for every text: what any method must beat", "design")
        because = "a logistic regression for each label, in a second: the neighbour of every tuned small model"
        ruled["tfidf"] = _yes(because, "M-002")
        ruled["encoder"] = _encoder(s)
    else:
        because = "each word's most frequent tag, as in the baseline of CoNLL-2003: what any method must beat"
        ruled["unigram"] = _yes(because, "design")
    for method in (*TRAINED, *UNASKED):
        if suits(method, s.experiment.task.type):
            ruled[method] = _trained(s, method)
    return ruled


def _ruled_writing(s: Situation) -> dict[MethodName, Choice]:
    """The same where the answer is a text."""
    task = s.experiment.task.type
    ruled: dict[MethodName, Choice] = {}
    if task == "summarisation":
        ruled["lead"] = _yes("the first sentence, copied: a summary has to be better than that", "design")
    elif suits("lead", task):
        ruled["lead"] = _no("the first sentence of a text answers a summarisation only", "design")
    ruled["zero-shot"] = _zero_shot(s)
    ruled["in-context"] = _in_context(s)
    for method in (*WRITERS, *UNASKED):
        if suits(method, task):
            ruled[method] = _trained(s, method)
    return ruled


def _ruled_preferring(s: Situation) -> dict[MethodName, Choice]:
    """The same where preferences are learnt: the base as the measure, then by pairs, or KTO on signals."""
    ruled: dict[MethodName, Choice] = {"zero-shot": _zero_shot(s)}
    for method in learners(s):
        if method == "generate+lora":
            ruled[method] = _impossible(s, "lora") or _imitating(s)
        else:
            ruled[method] = _preferring(s, method)
    for method in METHODS:
        if method not in ruled and suits(method, "preference"):
            because = "low-rank updates learn the same; nothing is known of others at so few preferences"
            ruled[method] = _no(because, "design", flips_when="methods.include names it")
    return ruled


def _preferring(s: Situation, method: MethodName) -> Choice:
    kind, n, adaptation = PREFERENCES[method], s.largest_n, METHODS[method][1]
    impossible = _impossible(s, adaptation)
    if impossible is not None:
        return impossible
    if adaptation == "qlora" and (kind == "dpo") is (s.preferences == "pairs"):
        return _four_bit(s)
    if s.preferences == "signals":
        if kind == "kto":
            return _yes(f"{n} texts that were liked or not: the only one that needs no pairs", first(s, "R-118"))
        return _no("it learns from pairs, and each row has one text with a signal", "fact", "data.rejected")
    few = f"{n} pairs: " + (
        "no source compares the ways below 5,000, so it is an experiment; " if n < FEW_PAIRS else ""
    )
    if kind == "dpo":
        return _yes(f"{few}the usual one, held to the base, whose likelihoods cost one pass", first(s, "R-117"))
    if kind == "orpo":
        return _yes(f"{few}it needs no reference and learns the preferred texts as it goes", first(s, "R-116"))
    if kind == "kto":
        return _no("pairs say more than the signals that they could be taken apart into", "design",
                   "rows that are judged one by one")  # fmt: skip
    return _no("ahead of the others at tens of thousands of pairs only, and fragile", first(s, "R-124"),
               "methods.include names it")  # fmt: skip


def learners(s: Situation) -> tuple[MethodName, ...]:
    """What preferences are learnt by, in the rules' order: of few pairs supervision teaches most."""
    if s.preferences == "pairs" and fires(s, "M-005"):
        return ("generate+lora", *LEARNERS)
    return (*LEARNERS, "generate+lora")


def _imitating(s: Situation) -> Choice:
    if s.preferences == "signals":
        return _no("it would learn the texts that were not liked, too", "fact", "pairs")
    if fires(s, "M-005"):
        because = f"{s.largest_n} pairs: their better texts, learnt as they are, taught more than comparing both did"
        return _yes(because, "M-005")
    return _yes("supervised on the preferred texts alone: what preferences must beat", "design")


def _yes(because: str, rule: str) -> Choice:
    return Choice(value=True, because=because, rule=rule)


def _no(because: str, rule: str, flips_when: str | None = None) -> Choice:
    return Choice(value=False, because=because, rule=rule, flips_when=flips_when)


def _encoder(s: Situation) -> Choice:
    latency = s.experiment.constraints.latency
    takes = LATENCY_OVERHEAD + encoding_seconds(s.facts.device, len(fields(s.experiment)) * s.usual_length)
    if latency is not None and takes > latency.seconds:
        return _too_slow(takes, str(latency))
    return _yes("a frozen network a sixth of the size, in seconds: it can beat every tuned small decoder", "M-004")


def _probe(s: Situation) -> Choice:
    return _impossible(s, None) or _yes("what the base knows before any weight of it moves", "M-004")


def _zero_shot(s: Situation) -> Choice:
    if s.writes:
        return _impossible(s, None) or _yes("what the model writes without any example", "design")
    if s.verbalizer is None:
        return _no("there is no verbalizer", "R-072")
    return _impossible(s, None) or _yes("what the model knows without any label", "R-132")


def _in_context(s: Situation) -> Choice:
    if s.verbalizer is None and not s.writes:
        return _no("there is no verbalizer", "R-072")
    impossible = _impossible(s, None, prompt_tokens=CONTEXT)
    if impossible is not None:
        return impossible
    if 4 * (s.usual_length + s.usual_target) > s.facts.model.max_positions:
        return _no("four examples do not fit into the model's context", "fact")
    if s.writes:
        return _yes("the same examples in the prompt instead of in the weights", "design")
    return _yes("the same labels in the prompt instead of in the weights", first(s, "R-003"))


def _tuned_encoder(s: Situation, method: MethodName) -> Choice:
    """Arms where they are named: the frozen encoder stands in every table already."""
    formulation, adaptation = METHODS[method]
    own = s.through(formulation)
    impossible = _impossible(own, adaptation)
    if impossible is not None:
        return impossible
    if formulation == "setfit" and fires(s, "R-022"):
        each = s.largest_n / len(s.label_names)
        because = f"{each:g} labels a class on a processor are its case; it takes minutes where the frozen encoder, "
        because += "which stands in the table, takes seconds"
        return _no(because, "R-022", flips_when="methods.include names it")
    if formulation == "setfit":
        because = "published for 2 to 16 labels a class on a processor; the frozen encoder stands in the table"
        return _no(because, "design", flips_when="methods.include names it")
    return _no("the frozen encoder is the row of its kind; tuning it is an experiment",
               first(s, "R-001"), flips_when="methods.include names it")  # fmt: skip


def _trained(s: Situation, method: MethodName) -> Choice:
    formulation, adaptation = METHODS[method]
    if formulation in ENCODED:
        return _tuned_encoder(s, method)
    if formulation == "pattern" and s.verbalizer is None:
        return _no("there is no verbalizer", "R-072")
    lacking = TRAITS[adaptation].lacks(s.facts.model)
    impossible = _no(lacking, "fact") if lacking else _impossible(s, adaptation)
    if impossible is not None:
        return impossible
    if TRAITS[adaptation].unasked is not None:
        row, because = TRAITS[adaptation].unasked or ("", "")
        return _no(because, row, flips_when="methods.include names it")
    if adaptation == "full":
        return _full(s, formulation)
    if adaptation == "qlora":
        return _four_bit(s)
    if formulation == "generation":
        return Choice(
            value=True,
            because=f"n = {s.largest_n}: the model learns form and length of the targets, and low-rank updates match "
            "full fine-tuning on decoders",
            rule="R-023",
            alternatives=(otherwise("4-bit base", "16 bit fits", "R-145"),),
        )
    if formulation == "pattern":
        return Choice(
            value=True,
            because=f"n = {s.largest_n}: a pattern uses what the model knows of the label words, and low-rank updates "
            "match full fine-tuning on decoders",
            rule=first(s, "R-069", "R-023"),
            alternatives=(otherwise("4-bit base", "16 bit fits", "R-145"),),
            flips_when="no one-token label words",
        )
    if s.marks == "set":
        because = "a logit for each label by itself, sigmoid and binary cross-entropy: any number may be right"
        return _yes(because, "R-023")
    if s.marks == "tags":
        because = "a tag for each word, read out at its last token, the first that has seen the whole word"
        return _yes(f"{because}: a causal model looks to the left only", "R-023")
    if s.verbalizer is None:
        return _yes("many labels: a head needs no label words", "R-072")
    because = "the usual way, beside the pattern: the sources disagree, so it is an experiment"
    return _yes(because, first(s, "R-070"))


def _full(s: Situation, formulation: str) -> Choice:
    constraints = s.experiment.constraints
    if constraints.deployments is not None and constraints.deployments > 1:
        return _no(f"{constraints.deployments} tasks share one base: its weights must stay", "R-028")
    if fires(s, "R-138"):
        return _no(f"at most {constraints.forgetting:g} forgetting is allowed", "R-138")
    if s.largest_n >= FULL_FROM:
        return _yes(f"n = {s.largest_n}: from {FULL_FROM} labels on it is worth its cost", "R-023")
    if formulation == "head":
        because = "a new head and all weights from so few labels: the weakest pair"
        return _no(because, "R-023", flips_when=f"n >= {FULL_FROM}")
    if s.facts.model.parameters > 1_000_000_000:
        return _no("low-rank updates match it at this n and this size", "R-023", flips_when="a model below 1B")
    if fires(s, "R-032"):
        return _yes("a vendor reports it ahead at 300-800 labels, the survey behind: an experiment", "R-032")
    return _yes("a model so small is soon trained in full: an experiment, against the survey", "design")


def _four_bit(s: Situation) -> Choice:
    """Only where the memory does not hold the base in 16 bit: four bits cost time, and perhaps accuracy."""
    limit, needed = limit_bytes(s.experiment, s.facts.device) / 1e9, least_bytes(s, "lora") / 1e9
    if least_bytes(s, "lora") <= limit_bytes(s.experiment, s.facts.device):
        because = f"{limit:.1f} GB hold LoRA on the base as it is ({needed:.1f} GB): four bits cost time for no need"
        return _no(because, "R-145", flips_when=f"less than {needed:.1f} GB of memory")
    return Choice(
        value=True,
        because=f"LoRA on the base as it is takes {needed:.1f} GB and {limit:.1f} GB are there: the base in four bits",
        rule="R-144",
        alternatives=(otherwise("a smaller model in 16 bit", "size buys more than bits", "R-006"),),
        flips_when=f"{needed:.1f} GB of memory",
    )


def _impossible(s: Situation, adaptation: Adaptation | None, prompt_tokens: int = 0) -> Choice | None:
    """Say no where the memory or the latency forbids the arm."""
    if not fits(s, adaptation or "none"):
        limit = limit_bytes(s.experiment, s.facts.device) / 1e9
        return _no(f"does not fit into {limit:.1f} GB", "fact", flips_when="more memory or a smaller model")
    latency = s.experiment.constraints.latency
    takes = item_seconds(s, prompt_tokens)
    if latency is not None and takes > latency.seconds:
        return _too_slow(takes, str(latency))
    return None


def _too_slow(takes: float, limit: str) -> Choice:
    needed = f"{ceil(takes * 1000)} ms"
    because = f"one item takes about {needed}, {limit} is the limit"
    return _no(because, "fact", flips_when=f"constraints.latency of {needed}")
