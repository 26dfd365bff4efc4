"""Whether a line break ends a written text."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def stop_at_newline(s: ArmSituation) -> Choice:
    """Where the pattern ends within a line and no target has two: its own end-of-text token ends any other."""
    pattern, many = s.arm.pattern or "", s.facts.data.train.multiline_targets
    value = not pattern[-1:].isspace() and not many
    if value:
        because = "the pattern ends within a line, and no target goes beyond one: a model without training ends so, too"
    elif many:
        because = f"{many} targets have several lines: only the end-of-text token ends them"
    else:
        because = "the pattern ends with a line break: the answer is a block of its own, ended by its own token"
    return Choice(
        value=value,
        because=because,
        rule="fact",
        alternatives=(otherwise(not value, "would cut texts" if not value else "texts would run on"),),
        flips_when="a pattern that ends with a line break" if value else "a pattern that ends within a line",
    )
