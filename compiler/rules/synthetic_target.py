"""How many examples a teacher is asked for at one data size."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

TIMES = 10
UNTIL = 2_000
"""Labels from which a teacher adds little."""
PLATEAU = 5_000


def synthetic_target(s: RecipeSituation) -> Choice:
    """Ten times the labels, as long as these are few; as many again where the embedded model writes."""
    n = s.level.train
    if s.level.n > UNTIL:
        return Choice(
            value=0,
            because=f"{s.level.n} labels: beyond about {UNTIL} a teacher adds little",
            rule="R-105",
            alternatives=(otherwise(PLATEAU, "tokens for little", "R-112"),),
            flips_when="augmentation.target is given",
        )
    asked, wanted = s.experiment.augmentation, TIMES * n
    if asked is not None and asked.teacher is not None and asked.teacher.is_embedded:
        return Choice(
            value=n,
            because=f"as many again as the {n} examples: what the embedded model writes was worth less than the "
            "labels, and takes long",
            rule="M-006",
            alternatives=(otherwise(wanted, "ten times the examples, of a teacher that writes well", "R-105"),),
            flips_when="augmentation.target or augmentation.factor is given, or a larger teacher",
        )
    if wanted > PLATEAU:
        return Choice(
            value=PLATEAU,
            because=f"ten times {n} are {wanted}; beyond some thousand of a teacher's texts little is gained",
            rule="R-112",
            alternatives=(otherwise(wanted, "little is gained beyond some thousand", "R-105"),),
            flips_when="augmentation.target or augmentation.factor is given",
        )
    return Choice(
        value=wanted,
        because=f"ten times the {n} examples, of which a filter keeps a part; the sample's own rows all stay",
        rule="R-105",
        alternatives=(otherwise(n, "as many again: less to pay, and less to choose from"),),
        flips_when="augmentation.target or augmentation.factor is given",
    )
