"""Whether synthetic examples are worth trying, from whom, and how many for each labelled one."""

from fewtune.compiler.decision import Alternative
from fewtune.compiler.rules.eda_copies import COPIES
from fewtune.compiler.rules.synthetic_target import TIMES, UNTIL
from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.specs.augmentation import AUGMENTED_TASKS

FEW = 500
"""Labels below which a teacher, or changed copies, are said to help."""
UNASKED = "it is asked over the network and may cost money, so only a spec orders it: [augmentation.teacher]"


def augmentation(s: Situation) -> Choice:
    """A teacher below 500 labels, if one is named that is not the embedded model; else none, as far as was measured.

    The value has the examples to ask for, for each labelled one, by source; null: none. Without [augmentation] in the
    spec it is advice and adds nothing to the plan.
    """
    n, asked = s.largest_n, s.experiment.augmentation
    teacher = asked.teacher if asked is not None else None
    if s.experiment.task.type not in AUGMENTED_TASKS:
        because = "examples are written for the one label of a text or pair, which this task does not have"
        return Choice(value=None, because=because, rule="design")
    if n >= FEW:
        return _many(n)
    if teacher is None:
        return Choice(
            value=None,
            because="no teacher is named; changed copies (EDA) were worth 0.7 to 1.3 times the labels on AG News, "
            "never surely more than 1",
            rule="M-006",
            alternatives=(
                otherwise({"teacher": TIMES}, f"a vendor's claim, to be measured; {UNASKED}", "R-105", "R-114"),
                _copies("little with pretrained models; free, and measured beside the arms without: augmentation.eda"),
            ),
            flips_when=f"augmentation.teacher names a model that knows more than the student (below {FEW} labels)",
        )
    if teacher.is_embedded:
        return Choice(
            value=None,
            because="what the embedded model writes was worth 0.3 to 1.0 times the labels on AG News",
            rule="M-006",
            alternatives=(
                otherwise({"teacher": 1}, "as many again try the pipeline, not the idea"),
                otherwise({"teacher": TIMES}, "said of teachers that know more than the student", "R-105"),
            ),
            flips_when="augmentation.teacher names a larger model",
        )
    return Choice(
        value={"teacher": TIMES},
        because=f"{n} labels and a teacher: ten texts for each example, of which 60 to 70 % are said to pass; a "
        "vendor's claim, so each arm has its twin without, and a gate drops a teacher that knows less than the student",
        rule="R-105",
        alternatives=(
            otherwise(None, "the claim may not hold here: the twins tell", "R-114"),
            _copies("little with pretrained models"),
        ),
        flips_when=f"n >= {FEW}, or another teacher",
    )


def _many(n: int) -> Choice:
    """From 500 labels on."""
    beyond = f"; beyond about {UNTIL:,} a teacher adds little, too" if n > UNTIL else ""
    return Choice(
        value=None,
        because=f"{n} labels: large gains were seen below {FEW} only{beyond}",
        rule="R-104",
        alternatives=(otherwise({"teacher": TIMES}, "a vendor asks for ten times the seeds below 500", "R-105"),),
        flips_when=f"n < {FEW}, and a teacher that knows more than the student",
    )


def _copies(why_not: str) -> Alternative:
    return otherwise({"eda": COPIES[0][1]}, why_not, "R-104")
