"""How the task is put into words."""

from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.compiler.wording import default_pattern, writing_pattern


def patterns(s: Situation) -> Choice:
    """One short pattern that ends where the label's word, or the target, follows."""
    if s.writes:
        return _of_texts(s)
    chosen = default_pattern(s.experiment, s.label_names)
    return Choice(
        value=[chosen],
        because="one short pattern, the same for training, evaluation and use"
        + ("" if s.validated else "; choosing among several needs validation labels, which this n does not have"),
        rule="R-013",
        alternatives=(
            otherwise("three patterns", "task.patterns names some or has your own; each is an arm", "R-071"),
        ),
        flips_when="task.patterns or task.question is given",
    )


def _of_texts(s: Situation) -> Choice:
    model, task = s.facts.model, s.experiment.task
    chosen = writing_pattern(task, s.facts.data.fields, instruct=model.instruct, chat=model.chat)
    if model.chat:
        because = "the model was taught to answer turns of this form: the instruction and the text as a user's turn"
    elif model.instruct:
        because = "the model follows instructions: one stands before the text"
    else:
        because = "a model without instruction tuning sees the text and where the target begins"
    return Choice(
        value=[chosen],
        because=f"{because}; the same for training, evaluation and use",
        rule="R-013",
        alternatives=(otherwise("your own", "give task.patterns, or task.instruction for its first sentence"),),
        flips_when="task.patterns or task.instruction is given",
    )
