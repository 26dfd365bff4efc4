"""Patterns and label words: what may be asked of the model, and what the probe must therefore measure."""

from fewtune.specs.data import FIELD
from fewtune.specs.experiment import Experiment

SYNONYMS: tuple[dict[str, str], ...] = (
    {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"},
    {"entailment": "Yes", "not_entailment": "No"},
    {"entailment": "Yes", "contradiction": "No"},
    {"true": "True", "false": "False"},
    {"yes": "Yes", "no": "No"},
    {"paraphrase": "Yes", "not_paraphrase": "No"},
    {"acceptable": "Yes", "unacceptable": "No"},
    {"pos": "positive", "neg": "negative"},
)
"""Usual words for usual label sets, by lower-case label."""

NLI = frozenset({"entailment", "neutral", "contradiction", "not_entailment"})

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def fields(experiment: Experiment) -> tuple[str, ...]:
    """The pattern fields of the task."""
    return ("premise", "hypothesis") if experiment.task.type == "pair-classification" else ("text",)


def head_pattern(experiment: Experiment) -> str:
    """What a classification head reads: the fields alone."""
    return "\n".join(f"{{{name}}}" for name in fields(experiment))


def default_pattern(experiment: Experiment, labels: tuple[str, ...]) -> str:
    """The pattern for this task where the user gave none."""
    question = experiment.task.question
    if experiment.task.type == "pair-classification":
        if NLI.issuperset(label.lower() for label in labels) and question is None:
            return "{premise}\nQuestion: {hypothesis} Yes, no, or maybe?\nAnswer:"
        asked = question or "How do the two relate?"
        return f"First: {{premise}}\nSecond: {{hypothesis}}\nQuestion: {asked}\nAnswer:"
    return f"{{text}}\nQuestion: {question}\nAnswer:" if question else "{text}\nCategory:"


def word_forms(label: str) -> tuple[str, ...]:
    """Spellings of a label's name, the plainest first."""
    spaced = label.replace("_", " ").replace("-", " ").strip()
    forms = (label, spaced, spaced.lower(), spaced.capitalize())
    return tuple(dict.fromkeys(form for form in forms if form))


def candidate_words(experiment: Experiment, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Every word whose tokens the compiler may ask for."""
    words = [form for label in labels for form in word_forms(label)]
    words += [word for table in SYNONYMS for word in table.values()]
    words += LETTERS[: len(labels)]
    words += (experiment.task.verbalizer or {}).values()
    return tuple(dict.fromkeys(words))


def candidate_patterns(experiment: Experiment, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Every pattern whose fixed text the compiler may ask the length of."""
    own = experiment.task.patterns or ()
    return tuple(dict.fromkeys((head_pattern(experiment), default_pattern(experiment, labels), *own)))


def fixed_text(pattern: str, labels: tuple[str, ...]) -> str:
    """The pattern without its texts, its {labels} written out."""
    parts = pattern.split("{labels}")
    return ", ".join(labels).join(FIELD.sub("", part) for part in parts)
