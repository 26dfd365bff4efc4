"""Patterns and label words: what may be asked of the model, and what the probe must therefore measure."""

from collections.abc import Collection, Mapping

from fewtune.specs.data import FIELD
from fewtune.specs.experiment import Experiment
from fewtune.specs.task import FIELDS, OPTIONAL, Task, TaskType

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


SAYINGS: dict[TaskType, tuple[str, dict[str, str], str]] = {
    "summarisation": ("Summarise the text in a sentence or two.", {"text": "Text"}, "Summary"),
    "question-answering": ("Answer the question as briefly as possible.",
                           {"context": "Text", "question": "Question"}, "Answer"),
    "generation": ("Write the text that follows from this one.", {"text": "Text"}, "Answer"),
    "preference": ("Answer.", {"text": "Question"}, "Answer"),
}  # fmt: skip
"""Task whose answer is a text -> the instruction, the names of its fields, the name of the answer."""
CONTENT_FREE = ("N/A", "", "[MASK]")
"""Texts that say nothing, by which calibration knows a prompt's own leaning (arXiv 2102.09690, section 5)."""
CHATML = "<|im_start|>user\n{said}<|im_end|>\n<|im_start|>assistant\n"
"""A user's turn and the beginning of the answer in the form that most chat templates of small models have."""
ASKED: dict[TaskType, str] = {
    "summarisation": "{text}\n\nQuestion: What does the text say, in a sentence or two?\n\nAnswer:",
    "generation": "{text}\n\nQuestion: What follows from the text?\n\nAnswer:",
    "preference": "Question: {text}\n\nAnswer:",
}
"""Task whose answer is a text -> the pattern that asks for it; of question-answering the data do."""


def fields(experiment: Experiment) -> tuple[str, ...]:
    """The pattern fields of the task, optional ones included."""
    return FIELDS[experiment.task.type]


def head_pattern(experiment: Experiment) -> str:
    """What a classification head reads: the fields alone."""
    return "\n".join(f"{{{name}}}" for name in fields(experiment))


def default_pattern(experiment: Experiment, labels: tuple[str, ...]) -> str:
    """The pattern for this task where the user gave none and the answer is a label."""
    question = experiment.task.question
    if experiment.task.type == "pair-classification":
        if NLI.issuperset(label.lower() for label in labels) and question is None:
            return "{premise}\nQuestion: {hypothesis} Yes, no, or maybe?\nAnswer:"
        asked = question or "How do the two relate?"
        return f"First: {{premise}}\nSecond: {{hypothesis}}\nQuestion: {asked}\nAnswer:"
    return f"{{text}}\nQuestion: {question}\nAnswer:" if question else "{text}\nCategory:"


def writing_pattern(task: Task, known: Collection[str], *, instruct: bool, chat: str | None) -> str:
    """The pattern where the answer is a text and the user gave none.

    Args:
        task: its type and instruction.
        known: the fields that the data have.
        instruct: whether the model was taught to follow instructions; others see how the text goes on.
        chat: the form of the model's turns; None: its instruction stands in plain text.
    """
    instruction, names, answer = SAYINGS[task.type]
    shown = [name for name in names if name in known]
    parts = [f"{{{name}}}" if len(shown) == 1 and chat else f"{names[name]}: {{{name}}}" for name in shown]
    if instruct or task.instruction:
        parts.insert(0, task.instruction or instruction)
    said = "\n\n".join(parts)
    return CHATML.replace("{said}", said) if chat == "chatml" else f"{said}\n\n{answer}:"


def named_patterns(
    experiment: Experiment, labels: tuple[str, ...], known: Collection[str], *, chat: str | None
) -> dict[str, str]:
    """The patterns that a spec may name, in the order of `specs.task.PATTERN_NAMES`.

    Three kinds, as published comparisons have them: the texts alone, a question about them, and an instruction (PET,
    arXiv 2001.07676, section 4; arXiv 2305.16938, appendix).

    Args:
        experiment: its task, with the user's question or instruction.
        labels: in their order.
        known: the fields that the data have.
        chat: the form of the model's turns, in which an instruction stands; None: in plain text.
    """
    if experiment.task.marks is not None:
        return {}  # a head answers
    if experiment.task.writes:
        return _named_writing(experiment.task, known, chat=chat)
    question = experiment.task.question
    if experiment.task.type == "pair-classification":
        first = question or "Decide how the second text relates to the first one."
        return {
            "minimal": "{premise}\n{hypothesis}\nAnswer:",
            "question": default_pattern(experiment, labels),
            "instruction": f"{first} Answer with one of these: {{labels}}.\n\nFirst: {{premise}}\n"
            "Second: {hypothesis}\nAnswer:",
        }
    return {
        "minimal": "{text}\nCategory:",
        "question": f"{{text}}\nQuestion: {question or 'Which category does the text belong to?'}\nAnswer:",
        "instruction": f"{question or 'Classify the text.'} Answer with one of these: {{labels}}.\n\n"
        "Text: {text}\nAnswer:",
    }


def _named_writing(task: Task, known: Collection[str], *, chat: str | None) -> dict[str, str]:
    plain = task.model_copy(update={"instruction": None})
    _, names, answer = SAYINGS[task.type]
    bare = "\n\n".join(f"{{{name}}}" for name in names if name in known)
    asked = task.type == "question-answering"
    return {
        "minimal": f"{bare}\n\n{answer}:",
        "question": writing_pattern(plain, known, instruct=False, chat=None) if asked else ASKED[task.type],
        "instruction": writing_pattern(task, known, instruct=True, chat=chat),
    }


def all_named(experiment: Experiment, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Every pattern that a name may stand for, whatever model and data are like."""
    task = experiment.task
    known = [FIELDS[task.type], tuple(name for name in FIELDS[task.type] if name not in OPTIONAL)]
    forms = [named_patterns(experiment, labels, names, chat=chat) for names in known for chat in (None, "chatml")]
    return tuple(dict.fromkeys(text for form in forms for text in form.values()))


def in_words(patterns: Collection[str], named: Mapping[str, str]) -> tuple[str, ...]:
    """Patterns with names written out."""
    return tuple(named.get(text, text) for text in patterns)


def writing_patterns(task: Task) -> tuple[str, ...]:
    """Every pattern that the rules may choose where the answer is a text."""
    known = [FIELDS[task.type], tuple(name for name in FIELDS[task.type] if name not in OPTIONAL)]
    forms: tuple[tuple[bool, str | None], ...] = ((False, None), (True, None), (True, "chatml"))
    return tuple(
        writing_pattern(task, names, instruct=instruct, chat=chat) for names in known for instruct, chat in forms
    )


def word_forms(label: str) -> tuple[str, ...]:
    """Spellings of a label's name, the plainest first."""
    spaced = label.replace("_", " ").replace("-", " ").strip()
    forms = (label, spaced, spaced.lower(), spaced.capitalize())
    return tuple(dict.fromkeys(form for form in forms if form))


def candidate_words(experiment: Experiment, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Every word whose tokens the compiler may ask for; none where the answer is a text, or several labels."""
    if experiment.task.writes or experiment.task.marks:
        return ()
    words = [form for label in labels for form in word_forms(label)]
    words += [word for table in SYNONYMS for word in table.values()]
    words += LETTERS[: len(labels)]
    words += [word for several in experiment.task.alternatives.values() for word in several]
    return tuple(dict.fromkeys(words))


def candidate_patterns(experiment: Experiment, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Every pattern whose fixed text the compiler may ask the length of."""
    own = (*all_named(experiment, labels), *experiment.task.own_patterns)
    if experiment.task.writes:
        return tuple(dict.fromkeys((*writing_patterns(experiment.task), *own)))
    if experiment.task.marks:
        return (head_pattern(experiment),)
    return tuple(dict.fromkeys((head_pattern(experiment), default_pattern(experiment, labels), *own)))


def fixed_text(pattern: str, labels: tuple[str, ...]) -> str:
    """The pattern without its texts, its {labels} written out."""
    parts = pattern.split("{labels}")
    return ", ".join(labels).join(FIELD.sub("", part) for part in parts)
