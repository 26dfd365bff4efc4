"""Cases: a seed spec with one to four faults of different kinds, in TOML or JSON; a number always gives the same."""

from copy import deepcopy
from dataclasses import dataclass
from random import Random

from mutations import keys, meanings, texts, values
from mutations.fault import Fault, Mutator, Spec, Tree, leaves, pointer
from mutations.seeds import SEEDS
from mutations.writing import text

TREES: tuple[Mutator, ...] = (
    keys.misspelt_key, keys.misplaced_key, keys.spelling_of_key, keys.renamed_key, keys.missing_key,
    values.wrong_type, values.out_of_range, values.wrong_unit, values.near_miss_word, values.not_finite,
    meanings.wrong_tag, meanings.foreign_field, meanings.unknown_id, meanings.unknown_model, meanings.conflict,
    meanings.memory, meanings.budget, meanings.sweep, meanings.secret, meanings.path_escape,
)  # fmt: skip
"""Mutators of the tree; each kind is as frequent as any other."""
TEXTS = (texts.duplicate_key, texts.syntax)
"""Mutators of the text, which come last."""
COUNTS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4)
"""How many faults a case has."""
TRIES = 60


@dataclass(frozen=True)
class Case:
    """A faulty text, its faults, and the sound tree that it was made from."""

    number: int
    seed: str
    form: str
    text: str
    faults: tuple[Fault, ...]
    good: Tree
    bad: Tree
    """What the text says, but for faults of the text itself."""

    @property
    def held_out(self) -> bool:
        """Whether nobody looks at it while repairs are written."""
        return self.number % 5 == 4


def case(number: int) -> Case:
    """One case; the first fault's kind goes round with the number."""
    chance = Random(f"mutation {number}")
    while True:
        seed = chance.choice(list(SEEDS))
        form = chance.choice(["toml", "json"])
        spec = Spec(form, deepcopy(SEEDS[seed]), deepcopy(SEEDS[seed]))
        wanted = chance.choice(COUNTS)
        kinds = len(TREES) + len(TEXTS)
        first = (number // 5 * 3 + number) % kinds
        order = [first, *(kind for kind in chance.sample(range(kinds), kinds) if kind != first)][:wanted]
        faults = _damage(chance, spec, [kind for kind in order if kind < len(TREES)])
        written, more = _damage_text(chance, spec, [kind - len(TREES) for kind in order if kind >= len(TREES)])
        if len(faults) + len(more) == wanted:
            return Case(number, seed, form, written, (*faults, *more), spec.good, spec.bad)


def _damage(chance: Random, spec: Spec, order: list[int]) -> list[Fault]:
    faults, touched = list[Fault](), set[str]()
    for kind in order:
        for _ in range(TRIES):
            trial = deepcopy(spec)
            try:
                fault = TREES[kind](chance, trial)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError):
                continue  # what an earlier fault left has nothing for this one
            if fault is None:
                continue
            changed = _changed(spec.bad, trial.bad) | set(fault.pointers[:1])
            if any(_meet(one, other) for one in changed for other in touched):
                continue
            spec.good, spec.bad = trial.good, trial.bad
            touched |= changed
            faults.append(fault)
            break
    return faults


def _damage_text(chance: Random, spec: Spec, order: list[int]) -> tuple[str, list[Fault]]:
    written, faults = text(spec.bad, spec.form), list[Fault]()
    for kind in sorted(order):
        for _ in range(TRIES):
            found = TEXTS[kind](chance, written, spec.form)
            if found and not any(found[1].line == fault.line for fault in faults):
                written = found[0]
                faults.append(found[1])
                break
    return written, faults


def _changed(before: Tree, after: Tree) -> set[str]:
    """Pointers of the values that differ."""
    one, two = ({pointer(parts): repr(value) for parts, value in leaves(tree)} for tree in (before, after))
    return {place for place in one.keys() | two.keys() if one.get(place) != two.get(place)}


def _meet(one: str, other: str) -> bool:
    """Whether one place holds the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
