"""Run the rules in their order and keep every choice: spec + facts -> settled values, arms and recipes.

The order is this file and, for an arm's own values, `resolve_arm`. Each rule sees what earlier ones settled; a pin of
the spec replaces the rule's value and keeps it as the alternative. Cuts (what the budget took away) come in as a value,
so that everything that depends on a cut step count or seed number is resolved from it by the same rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fewtune.compiler.arm import Verbalizer
from fewtune.compiler.arm_ideas import arm_ideas, left_out
from fewtune.compiler.augmenting import UNUSED, amounts, with_twins
from fewtune.compiler.naming import free
from fewtune.compiler.noise import with_noise
from fewtune.compiler.notes import LEFT_OUT, Noted, Notes, cut, pin
from fewtune.compiler.plan import Choosing, Level
from fewtune.compiler.resolution import Cuts, Resolution, ResolvedArm
from fewtune.compiler.resolve_arm import resolved_arm
from fewtune.compiler.rules.augmentation import augmentation
from fewtune.compiler.rules.base_model import base_model
from fewtune.compiler.rules.choosing import asked_for, choosing
from fewtune.compiler.rules.data_seeds import data_seeds
from fewtune.compiler.rules.folds import folds
from fewtune.compiler.rules.methods import methods
from fewtune.compiler.rules.metric import metric
from fewtune.compiler.rules.model_seeds import model_seeds
from fewtune.compiler.rules.patterns import patterns
from fewtune.compiler.rules.precision import precision
from fewtune.compiler.rules.preferred import preferred
from fewtune.compiler.rules.sampling import sampling
from fewtune.compiler.rules.validation import validation
from fewtune.compiler.rules.verbalizer import first_tokens, verbalizer
from fewtune.compiler.situation import Choice, Situation
from fewtune.compiler.weighing import weighed
from fewtune.compiler.wording import in_words
from fewtune.specs.data import PerClass


def resolve(start: Situation, cuts: Cuts | None = None) -> Resolution:
    """Settle every value that `start` leaves open.

    Raises nothing: what cannot be is found by `checks`, which run before and after.
    """
    cuts, notes = cuts or Cuts(), Notes()
    situation = _experiment_scope(start, cuts, notes)
    said = methods(situation)
    ideas = arm_ideas(situation, said)
    arms = [
        resolved_arm(situation, idea, cuts, notes)
        for idea in ideas
        if idea.origin != "rules" or idea.method not in cuts.methods
    ]
    for method, choice in left_out(situation, {idea.method for idea in ideas}, said).items():
        notes.note(LEFT_OUT, "methods", replace(choice, value=method))
    twinned = with_twins(situation, _unique_names(arms), notes)
    made = amounts(twinned, situation)
    if made is None and situation.experiment.augmentation is not None:
        notes.note("/augmentation", "augmentation", UNUSED)
    else:
        notes.settle(augmentation, situation, "/augmentation", made, "/augmentation")
    found = Resolution(
        situation=situation, arms=_with_noise(twinned, situation.experiment.data.noise_shares), augmentation=made,
        cuts=cuts, noted=(*notes.noted, *_noise(situation), *_own_encoder(situation)), warnings=tuple(notes.warnings),
    )  # fmt: skip
    factor = situation.experiment.evaluation.halving
    return found if factor is None else replace(found, noted=(*found.noted, _halved(found, factor)))


def _noise(s: Situation) -> Iterator[Noted]:
    """The label noise that the spec asks for."""
    if shares := s.experiment.data.noise_shares:
        because = f"so many labels are wrong: {', '.join(f'{100 * share:g} %' for share in shares)} of those that train"
        choice = Choice(value=s.experiment.data.model_dump(mode="json")["label_noise"], because=because, rule="pin",
                        flips_when="the spec leaves it out")  # fmt: skip
        yield Noted(pointer="/experiment/data/label_noise", decided_by="label_noise", choice=choice)


def _own_encoder(s: Situation) -> Iterator[Noted]:
    """The encoder that the spec names."""
    if s.facts.encoder is not None:
        because = (
            f"the spec names it ({s.facts.encoder.parameters / 1e6:.1f}M parameters); arms that tune an encoder take it"
        )
        choice = Choice(value=s.facts.encoder.place, because=because, rule="pin", flips_when="the spec leaves it out")
        yield Noted(pointer="/facts/encoder", decided_by="base_model", choice=choice)


def _with_noise(arms: tuple[ResolvedArm, ...], shares: Sequence[float]) -> tuple[ResolvedArm, ...]:
    """The arms, then each that sees labels once more for each share of noise."""
    more = [replace(one, arm=with_noise(one.arm, share)) for share in shares for one in arms if one.arm.seeded]
    return (*arms, *more)


def _halved(found: Resolution, factor: int) -> Noted:
    """What the halving that the spec asks for comes to."""
    counts = [f"after {rung.seeds} data seed{'s' * (rung.seeds > 1)} {rung.keep} go on" for rung in found.rungs]
    because = f"of {len(found.candidates)} trained arms " + ", ".join(counts) if counts else "there is nothing to halve"
    choice = Choice(value=factor, because=because, rule="pin", flips_when="the spec leaves it out")
    return Noted(pointer="/halving", decided_by="halving", choice=weighed(choice, ("halving",), found.situation))


def _experiment_scope(s: Situation, cuts: Cuts, notes: Notes) -> Situation:
    asked = s.experiment.evaluation
    at, named = "/evaluation", s.experiment.model
    given = s.facts.model.place if named.name or named.path else None
    notes.settle(base_model, s, "/facts/model", given, "/model/name" if named.name else "/model/path")
    s = replace(s, metric=notes.settle(metric, s, "/metric", asked.metric, f"{at}/metric"))
    s = replace(s, precision=notes.settle(precision, s, "/precision", s.experiment.model.precision, "/model/precision"))
    test = s.facts.data.test
    s = replace(s, folds=notes.settle(folds, s, "/folds", None if test else asked.folds, f"{at}/folds"))
    s = replace(s, levels=_levels(s, cuts, notes))
    s = replace(s, data_seeds=_data_seeds(s, cuts, notes))
    notes.settle(sampling, s, "/sampling")
    s = replace(s, choosing=_choosing(s, cuts, notes))
    s = replace(s, preferred=notes.settle(preferred, s, "/preferred"))
    s = replace(s, model_seeds=notes.settle(model_seeds, s, "/model_seeds", asked.model_seeds, f"{at}/model_seeds"))
    if s.marks is not None:  # a head needs neither label words nor patterns
        return s
    s = s if s.writes else replace(s, verbalizer=_verbalizer(s, notes))
    own = s.experiment.task.patterns
    written = list(in_words(own, s.named_patterns)) if own else None
    texts = notes.settle(patterns, s, "/patterns", written, "/task/patterns")
    return replace(s, patterns=tuple(texts))


def _data_seeds(s: Situation, cuts: Cuts, notes: Notes) -> int:
    asked = s.experiment.evaluation.data_seeds
    if cuts.data_seeds is None or asked is not None:
        return int(notes.settle(data_seeds, s, "/data_seeds", asked, "/evaluation/data_seeds"))
    ruled = weighed(data_seeds(s), ("data_seeds",), s)
    value = min(int(ruled.value), cuts.data_seeds)
    notes.note("/data_seeds", "budget", cut(value, ruled, f"{ruled.value} seeds by the rules; {value} fit the limits"))
    return value


def _choosing(s: Situation, cuts: Cuts, notes: Notes) -> Choosing | None:
    asked = s.experiment.evaluation.validation
    if asked == "fixed-schedule":
        notes.note("/choosing", "choosing", pin(None, weighed(choosing(s), ("choosing",), s)))
        return None
    if cuts.choosing is not None and asked is None:
        ruled, value = weighed(choosing(s), ("choosing",), s), None
        because = "the rules' order decides: cross-validation does not fit"
        if cuts.choosing and ruled.value is not None:
            value = {**ruled.value, "seeds": min(cuts.choosing, ruled.value["seeds"])}
            because = f"{ruled.value['seeds']} samples by the rules; {value['seeds']} fit the limits"
        notes.note("/choosing", "budget", cut(value, ruled, because))
    else:
        value = notes.settle(choosing, s, "/choosing", asked_for(s), "/evaluation/validation")
    return None if value is None else Choosing.model_validate(value)


def budgets(s: Situation) -> list[tuple[int, int | None]]:
    """(labels, labels of each class or None) for each point of the learning curve."""
    asked = s.experiment.data.label_budget
    if asked == "all":
        return [(len(s.pool), None)]
    if isinstance(asked, PerClass):
        each = asked.per_class if isinstance(asked.per_class, tuple) else (asked.per_class,)
        return [(k * len(s.label_names), k) for k in each]
    return [(n, None) for n in (asked if isinstance(asked, tuple) else (asked,))]


def _levels(s: Situation, cuts: Cuts, notes: Notes) -> tuple[Level, ...]:
    wanted = budgets(s)
    if cuts.levels is not None:
        because = f"{len(wanted)} data sizes are asked for; the {cuts.levels} largest fit the limits"
        wanted = wanted[-cuts.levels :]
        notes.note("/levels", "budget", Choice(value=[n for n, _ in wanted], because=because, rule="budget"))
    return tuple(_level(s, n, per_class, index, notes) for index, (n, per_class) in enumerate(wanted))


def _part(n: int, fraction: float) -> int:
    """Rows of a held-out part: at least one, and at least one is left to train on."""
    return min(max(1, round(n * fraction)), max(1, n - 1))


def _level(s: Situation, n: int, per_class: int | None, index: int, notes: Notes) -> Level:
    asked = s.experiment.evaluation
    ruled = weighed(validation(s, n), ("validation",), s)
    spent = dict(ruled.value)
    scheme = asked.validation
    if s.folds is not None:
        n_train = min(n, len(s.pool) - len(s.pool) // s.folds)
        ruled = weighed(validation(s, n_train), ("validation",), s)
        spent = dict(ruled.value)
    else:
        n_train = n
    if scheme == "held-out" and spent["scheme"] != "validation-split":
        fraction = asked.validation_fraction or 0.2
        spent = {"scheme": "held-out", "rows": _part(n_train, fraction)}
    elif scheme in ("fixed-schedule", "cross-validation"):
        spent = {"scheme": "fixed-schedule", "rows": 0}
    elif asked.validation_fraction is not None and spent["scheme"] == "held-out":
        spent = {"scheme": "held-out", "rows": _part(n_train, asked.validation_fraction)}
    pinned_part = scheme is not None or (asked.validation_fraction is not None and spent["scheme"] == "held-out")
    choice = pin(spent, ruled) if pinned_part and spent["scheme"] != "validation-split" else ruled
    for field, part in (("scheme", "scheme"), ("validation", "rows")):
        notes.note(f"/levels/{index}/{field}", "validation", replace(choice, value=spent[part]))
    inner = 0 if spent["scheme"] == "validation-split" else spent["rows"]
    return Level(n=n, per_class=per_class, train=n_train - inner, validation=spent["rows"], scheme=spent["scheme"])


def _verbalizer(s: Situation, notes: Notes) -> Verbalizer | None:
    own = s.experiment.task.words
    pinned = None
    if own is not None:
        tokens = first_tokens(s, own)
        pinned = Verbalizer(words=own, tokens=tokens or {}).model_dump(mode="json")
    value = notes.settle(verbalizer, s, "/verbalizer", pinned, "/task/verbalizer")
    return Verbalizer.model_validate(value) if value else None


def _unique_names(arms: list[ResolvedArm]) -> tuple[ResolvedArm, ...]:
    """Number arms that would share a name."""
    unique: dict[str, ResolvedArm] = {}
    for resolved in arms:
        name = free(resolved.arm.name, unique, " #")
        unique[name] = replace(resolved, arm=resolved.arm.model_copy(update={"name": name}))
    return tuple(unique.values())
