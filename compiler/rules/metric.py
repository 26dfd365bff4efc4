"""Which metric arms are chosen and compared by."""

from fewtune.compiler.situation import Choice, Situation, otherwise

IMBALANCED = 0.6
"""Share of the largest class from which accuracy misleads; CoLA's is 0.70."""


def metric(s: Situation) -> Choice:
    """Accuracy, unless one label dominates the training pool; else what the task's literature reports."""
    if s.preferences is not None:
        return _of_preferences(s)
    if s.marks is not None:
        return _of_sets() if s.marks == "set" else _of_tags()
    if s.writes:
        return _of_texts(s)
    counts = [s.facts.data.train.labels.count(index) for index in range(len(s.label_names))]
    share = max(counts) / max(1, sum(counts))
    if share < IMBALANCED:
        return Choice(
            value="accuracy",
            because=f"the largest of {len(counts)} labels has {share:.0%} of the rows: accuracy does not mislead",
            rule="R-132",
            alternatives=(otherwise("macro_f1", "reported beside it"), otherwise("mcc", "reported beside it")),
            flips_when=f"one label has {IMBALANCED:.0%} of the rows or more",
        )
    value = "mcc" if len(counts) == 2 else "macro_f1"
    return Choice(
        value=value,
        because=f"one label has {share:.0%} of the rows: always answering it would score well by accuracy",
        rule="R-132",
        alternatives=(otherwise("accuracy", f"the majority class alone reaches {share:.2f}", "R-132"),),
        flips_when=f"the largest label falls below {IMBALANCED:.0%}",
    )


def _of_preferences(s: Situation) -> Choice:
    what = "share of pairs whose better text is the likelier one" if s.preferences == "pairs" else (
        "share of texts that became likelier or less likely, as people judged them")  # fmt: skip
    return Choice(
        value="preference_accuracy",
        because=f"{what}, by the mean over tokens, so that length alone wins nothing",
        rule="design",
        alternatives=(otherwise("margin", "reported beside it; a few texts can carry it"),),
        flips_when="evaluation.metric is given",
    )


def _of_sets() -> Choice:
    return Choice(
        value="micro_f1",
        because="sets of labels: every label that is right, missed or too much counts once, whatever its row",
        rule="design",
        alternatives=(otherwise("macro_f1", "reported beside it; a rare label weighs as much as a frequent one"),
                      otherwise("subset_accuracy", "reported beside it; all or nothing, so noisier")),
        flips_when="evaluation.metric is given",
    )  # fmt: skip


def _of_tags() -> Choice:
    return Choice(
        value="span_f1",
        because="spans are what is looked for: one counts where its name and both ends are right",
        rule="design",
        alternatives=(otherwise("tag_accuracy", "reported beside it; most words are outside, which flatters"),),
        flips_when="evaluation.metric is given",
    )


def _of_texts(s: Situation) -> Choice:
    if s.experiment.task.type == "question-answering":
        return Choice(
            value="token_f1",
            because="answers of a few words: the words shared with the target, a half-right answer counts in part",
            rule="design",
            alternatives=(otherwise("exact_match", "reported beside it; all or nothing, so noisier"),
                          otherwise("rouge_l", "reported beside it")),
            flips_when="evaluation.metric is given",
        )  # fmt: skip
    return Choice(
        value="rouge_l",
        because="texts of a sentence or more: the longest common run of words with the target, in its order",
        rule="design",
        alternatives=(otherwise("token_f1", "reported beside it; blind to the order of words"),
                      otherwise("exact_match", "reported beside it; hardly ever met by a sentence")),
        flips_when="evaluation.metric is given",
    )  # fmt: skip
