"""Run the rules in their order and keep every choice: spec + facts -> settled values, arms and recipes.

The order is this file. Each rule sees what earlier ones settled; a pin of the spec replaces the rule's value and
keeps it as the alternative. Cuts (what the budget took away) come in as a value, so that everything that depends on
a cut step count or seed number is resolved from it by the same rules.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import ceil
from typing import Any, TypeVar

from fewtune.compiler.adaptations import TRAITS, value_of
from fewtune.compiler.augmenting import UNUSED, amounts, with_twins
from fewtune.compiler.halving import Rung, rungs
from fewtune.compiler.memory import Load, limit_bytes, peak_bytes
from fewtune.compiler.naming import arm_name, free
from fewtune.compiler.noise import with_noise
from fewtune.compiler.notes import LEFT_OUT, Noted, Notes, cut, pin
from fewtune.compiler.plan import (
    HEADED,
    PLAIN,
    PROBES,
    PROMPTED,
    REGRESSED,
    AdapterShape,
    Arm,
    Choosing,
    Distillation,
    Generation,
    Level,
    Lora,
    PreferenceLoss,
    Recipe,
    Verbalizer,
)
from fewtune.compiler.rules.augmentation import augmentation
from fewtune.compiler.rules.base_model import base_model
from fewtune.compiler.rules.batch_size import batch_size
from fewtune.compiler.rules.beta import beta
from fewtune.compiler.rules.calibration import calibration
from fewtune.compiler.rules.choosing import asked_for, choosing
from fewtune.compiler.rules.context import context
from fewtune.compiler.rules.data_seeds import data_seeds
from fewtune.compiler.rules.demonstrations import demonstrations
from fewtune.compiler.rules.demonstrations_by import demonstrations_by
from fewtune.compiler.rules.early_stopping import early_stopping
from fewtune.compiler.rules.folds import folds
from fewtune.compiler.rules.label_weight import label_weight
from fewtune.compiler.rules.learning_rate import learning_rate
from fewtune.compiler.rules.lora_alpha import lora_alpha
from fewtune.compiler.rules.lora_dropout import lora_dropout
from fewtune.compiler.rules.lora_rank import lora_rank
from fewtune.compiler.rules.lora_targets import lora_targets
from fewtune.compiler.rules.lr_ratio import lr_ratio
from fewtune.compiler.rules.max_grad_norm import max_grad_norm
from fewtune.compiler.rules.max_new_tokens import max_new_tokens
from fewtune.compiler.rules.max_tokens import max_tokens
from fewtune.compiler.rules.methods import left_out, methods, weighed_methods
from fewtune.compiler.rules.metric import metric
from fewtune.compiler.rules.model_seeds import model_seeds
from fewtune.compiler.rules.objective import objective
from fewtune.compiler.rules.odds_weight import odds_weight
from fewtune.compiler.rules.pair_iterations import pair_iterations
from fewtune.compiler.rules.pattern_use import pattern_use
from fewtune.compiler.rules.patterns import patterns
from fewtune.compiler.rules.penalty import penalty
from fewtune.compiler.rules.precision import precision
from fewtune.compiler.rules.preferred import preferred
from fewtune.compiler.rules.pretraining_steps import pretraining_steps
from fewtune.compiler.rules.regularisation import regularisation
from fewtune.compiler.rules.replay import replay
from fewtune.compiler.rules.reward_margin import reward_margin
from fewtune.compiler.rules.rslora import rslora
from fewtune.compiler.rules.sampling import sampling
from fewtune.compiler.rules.schedule import schedule
from fewtune.compiler.rules.steps import steps
from fewtune.compiler.rules.stop_at_newline import stop_at_newline
from fewtune.compiler.rules.temperature import temperature
from fewtune.compiler.rules.transfer import transfer
from fewtune.compiler.rules.validation import validation
from fewtune.compiler.rules.verbalizer import first_tokens, verbalizer
from fewtune.compiler.rules.warmup_steps import warmup_steps
from fewtune.compiler.rules.weight_decay import weight_decay
from fewtune.compiler.situation import ArmIdea, ArmSituation, Choice, RecipeSituation, Situation
from fewtune.compiler.verbalizers import verbalizers
from fewtune.compiler.weighing import weighed
from fewtune.compiler.wording import in_words
from fewtune.specs.data import PerClass
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.methods import LOW_RANK, MethodName

S = TypeVar("S", bound=Situation)


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """What a limit took away; empty: nothing."""

    methods: frozenset[MethodName] = frozenset()
    """Methods whose arms by the rules are left out."""
    data_seeds: int | None = None
    """The largest number of data seeds."""
    steps: int | None = None
    """The largest number of steps that a rule may choose."""
    levels: int | None = None
    """How many points of the learning curve stay, the largest n first."""
    choosing: int | None = None
    """The largest number of samples whose parts choose the arm by a rule; 0: none."""


@dataclass(frozen=True, kw_only=True)
class ResolvedArm:
    """An arm with the choices behind its values."""

    arm: Arm
    idea: ArmIdea
    trainable: int
    """Moving parameters."""
    noted: tuple[Noted, ...]


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Everything that rules and pins settled."""

    situation: Situation
    arms: tuple[ResolvedArm, ...]
    augmentation: dict[str, float] | None
    """Source -> synthetic examples for each labelled one at the largest data size; None: there are none."""
    noted: tuple[Noted, ...]
    warnings: tuple[Diagnostic, ...]

    @cached_property
    def candidates(self) -> tuple[Arm, ...]:
        """The arms that are compared, in the rules' order; all others are what they are measured by."""
        return self._preferred_first([resolved.arm for resolved in self.arms if resolved.arm.role == "candidate"])

    def _preferred_first(self, arms: Sequence[Arm]) -> tuple[Arm, ...]:
        return tuple(sorted(arms, key=lambda arm: arm.method != self.situation.preferred))

    @cached_property
    def choosable(self) -> tuple[Arm, ...]:
        """The arms that may be chosen, in the rules' order: trained ones; where scores choose, all model arms.

        What adopted evidence prefers stands first, trained or not. Where validation rows are held from training, an arm
        with synthetic examples may be chosen as the arm without, which comes before it.
        """
        arms = tuple(resolved.arm for resolved in self.arms if not resolved.arm.conditioned)
        prompted = tuple(arm for arm in arms if not arm.trained and arm.formulation in PROMPTED)[::-1]
        frozen = tuple(arm for arm in arms if arm.formulation in (*PROBES, "tfidf", "lead", "unigram"))[::-1]
        chosen_by, best = self.situation.choosing, tuple(a for a in arms if a.method == self.situation.preferred)
        if self.situation.validated or (chosen_by is not None and chosen_by.trained == "all"):
            found = self.candidates + prompted + frozen
        elif chosen_by is not None:
            found = self.candidates[:1] + prompted + frozen
        else:
            found = best[:1] + self.candidates if self.candidates else frozen or prompted
        plain = tuple(dict.fromkeys(found)) or arms
        names = {arm.name for arm in plain} if self.situation.validated else set()
        twins = tuple(one.arm for one in self.arms if one.arm.augmentation and one.arm.augmentation.twin in names)
        return self._preferred_first(plain + twins)

    @cached_property
    def rungs(self) -> tuple[Rung, ...]:
        """Where candidates are dropped; nowhere unless the spec asks for it and validation rows can decide."""
        s = self.situation
        factor = s.experiment.evaluation.halving
        if factor is None or not s.levels[-1].validation:
            return ()
        return rungs(len(self.candidates), s.data_seeds, factor)


def resolve(start: Situation, cuts: Cuts | None = None) -> Resolution:
    """Settle every value that `start` leaves open.

    Raises nothing: what cannot be is found by `checks`, which run before and after.
    """
    cuts, notes = cuts or Cuts(), Notes()
    situation = _experiment_scope(start, cuts, notes)
    said = weighed_methods(situation)
    ideas = methods(situation, said)
    arms = [
        _arm(situation, idea, cuts, notes)
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
        noted=(*notes.noted, *_noise(situation), *_own_encoder(situation)), warnings=tuple(notes.warnings),
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


def _arm(s: Situation, idea: ArmIdea, cuts: Cuts, outer: Notes) -> ResolvedArm:
    notes, s = Notes(), s.through(idea.formulation)
    a = _from(ArmSituation, s, arm=idea)
    notes.note("/method", "methods", replace(idea.choice, value=idea.method))
    if idea.encoded:
        because = (
            f"{a.facts.model.parameters / 1e6:.0f}M parameters are soon computed in fp32, where texts are compared"
        )
        notes.note("/precision", "precision", Choice(value=a.precision, because=because, rule="design"))
    lora = generation = distillation = loss = None
    if idea.formulation in PROMPTED:
        a = _prompting(a, notes)
    if idea.generates:
        a, generation = _generation(a, notes)
    if idea.formulation not in PLAIN or idea.encoded:
        a = replace(a, max_tokens=notes.settle(max_tokens, a, "/max_tokens"))
    if idea.adaptation in LOW_RANK:
        a, lora = _lora(a, notes)
    a = _geometry(a, notes)
    if idea.adaptation != "none":
        a, distillation = _objective(a, notes)
        a, loss = _preference(a, notes)
        notes.settle(regularisation, a, "/regularisation")
    recipes = tuple(_recipe(a, level, index, cuts, notes) for index, level in enumerate(s.levels))
    outer.warnings.extend(notes.warnings)
    arm = Arm(
        name=arm_name(a, recipes),
        method=idea.method,
        formulation=idea.formulation,
        adaptation=idea.adaptation,
        role="candidate" if idea.role == "candidate" else "baseline",
        pattern=idea.pattern,
        pattern_use=a.pattern_use,
        patterns=idea.patterns,
        verbalizers=verbalizers(s) if a.pattern_use == "search" and not s.writes else (),
        demonstrations_by=a.demonstrations_by,
        calibration="none" if a.trained else a.calibration,  # a teacher's stands beside its context
        lora=lora,
        adapter=AdapterShape(width=a.width, placement=a.placement) if a.width else None,
        virtual_tokens=a.virtual_tokens,
        top_layers=a.top_layers,
        layer_decay=a.layer_decay,
        objective=a.objective,
        distillation=distillation,
        generation=generation,
        marks=s.marks,
        preference=loss,
        max_tokens=a.max_tokens,
        precision=s.precision,
        recipes=recipes,
    )
    return ResolvedArm(arm=arm, idea=idea, trainable=trainable_parameters(a), noted=tuple(notes.noted))


def _from(kind: type[S], outer: Situation, **more: Any) -> S:
    """The inner scope's situation: everything of the outer one, and more."""
    return kind(**{field.name: getattr(outer, field.name) for field in fields(outer)}, **more)


def _lora(a: ArmSituation, notes: Notes) -> tuple[ArmSituation, Lora]:
    pins, at = a.arm.pins, a.arm.pointer
    a = replace(a, rank=notes.settle(lora_rank, a, "/lora/rank", _first(pins.rank), at("rank")))
    a = replace(a, rslora=notes.settle(rslora, a, "/lora/rslora", pins.rslora, at("rslora")))
    a = replace(a, alpha=notes.settle(lora_alpha, a, "/lora/alpha", pins.alpha, at("alpha")))
    every = sorted({linear.name for linear in a.facts.model.linears})
    wanted = every if pins.targets == "all-linear" else list(pins.targets) if pins.targets else None
    a = replace(a, targets=tuple(notes.settle(lora_targets, a, "/lora/targets", wanted, at("targets"))))
    asked = pins.dropout if a.arm.preference is None else None  # masks are built for packs
    drops = notes.settle(lora_dropout, a, "/lora/dropout", asked, at("dropout"))
    a = replace(a, lr_ratio=notes.settle(lr_ratio, a, "/lora/lr_ratio", pins.lr_ratio, at("lr_ratio")))
    lora = Lora(rank=a.rank, alpha=a.alpha, targets=a.targets, rslora=a.rslora, dropout=drops, lr_ratio=a.lr_ratio)
    return a, lora


def _geometry(a: ArmSituation, notes: Notes) -> ArmSituation:
    """What else the arm's adaptation needs to know."""
    for setting in TRAITS[a.arm.adaptation].settings if a.trained else ():
        pinned = value_of(a.arm.pins, setting)
        value = notes.settle(setting.rule, a, setting.pointer, pinned, a.arm.pointer(setting.name))
        a = replace(a, **{setting.name: value})
    return a


def _prompting(a: ArmSituation, notes: Notes) -> ArmSituation:
    """How the model is asked."""
    pins, at = a.arm.pins, a.arm.pointer
    use = notes.settle(pattern_use, a, "/pattern_use", _first(pins.pattern_use), at("pattern_use"))
    a = replace(a, pattern_use=use)
    if a.arm.formulation == "in-context":
        asked = _first(pins.demonstrations_by)
        shown = notes.settle(demonstrations_by, a, "/demonstrations_by", asked, at("demonstrations_by"))
        a = replace(a, demonstrations_by=shown)
    if a.trained or a.writes:
        return a
    asked = _first(pins.calibration)
    return replace(a, calibration=notes.settle(calibration, a, "/calibration", asked, at("calibration")))


def _generation(a: ArmSituation, notes: Notes) -> tuple[ArmSituation, Generation]:
    pins, at = a.arm.pins, a.arm.pointer
    most = notes.settle(max_new_tokens, a, "/generation/max_new_tokens", pins.max_new_tokens, at("max_new_tokens"))
    a = replace(a, max_new_tokens=most)
    a = replace(a, stop_at_newline=notes.settle(stop_at_newline, a, "/generation/stop_at_newline"))
    return a, Generation(max_new_tokens=most, end_tokens=a.facts.model.end_tokens, stop_at_newline=a.stop_at_newline)


def _objective(a: ArmSituation, notes: Notes) -> tuple[ArmSituation, Distillation | None]:
    pins, at = a.arm.pins, a.arm.pointer
    asked = None if a.arm.preference or a.arm.contrastive else pins.objective
    a = replace(a, objective=notes.settle(objective, a, "/objective", asked, at("objective")))
    if not a.taught:
        return a, None
    heat = notes.settle(temperature, a, "/distillation/temperature", _first(pins.temperature), at("temperature"))
    weight = notes.settle(label_weight, a, "/distillation/label_weight", pins.label_weight, at("label_weight"))
    seen = notes.settle(context, a, "/distillation/context", pins.context, at("context"))
    taken = notes.settle(calibration, a, "/distillation/calibration", _first(pins.calibration), at("calibration"))
    return replace(a, calibration=taken), Distillation(
        temperature=heat, label_weight=weight, context=seen, calibration=taken
    )


def _preference(a: ArmSituation, notes: Notes) -> tuple[ArmSituation, PreferenceLoss | None]:
    pins, at, kind = a.arm.pins, a.arm.pointer, a.arm.preference
    if kind is None:
        return a, None
    if kind == "orpo":
        weight = notes.settle(odds_weight, a, "/preference/odds_weight", pins.odds_weight, at("odds_weight"))
        return a, PreferenceLoss(kind=kind, odds_weight=weight)
    a = replace(a, beta=notes.settle(beta, a, "/preference/beta", pins.beta, at("beta")))
    if kind != "simpo":
        return a, PreferenceLoss(kind=kind, beta=a.beta)
    ahead = notes.settle(reward_margin, a, "/preference/reward_margin", pins.reward_margin, at("reward_margin"))
    return a, PreferenceLoss(kind=kind, beta=a.beta, reward_margin=ahead)


def trainable_parameters(a: ArmSituation) -> int:
    """Parameters that move."""
    head = a.facts.model.hidden * len(a.label_names) if a.arm.formulation in HEADED else 0
    return TRAITS[a.arm.adaptation].moving(a) + head if a.trained else 0


def _recipe(a: ArmSituation, level: Level, index: int, cuts: Cuts, notes: Notes) -> Recipe:
    at = f"/recipes/{index}"
    r = _from(RecipeSituation, a, level=level)
    if a.arm.formulation == "in-context":
        return Recipe(n=level.n, demonstrations=_demonstrations(r, at, notes))
    if a.arm.formulation in PROBES:
        return Recipe(n=level.n, penalty=_penalty(r, at, notes))
    if not a.trained:
        return Recipe(n=level.n)
    return _trained_recipe(r, at, cuts, notes)


def _demonstrations(r: RecipeSituation, at: str, notes: Notes) -> int:
    pinned = _first(r.arm.pins.demonstrations)
    pinned = None if pinned is None else min(pinned, r.level.train)
    return int(notes.settle(demonstrations, r, f"{at}/demonstrations", pinned, r.arm.pointer("demonstrations")))


def _penalty(r: RecipeSituation, at: str, notes: Notes) -> float:
    pinned = _first(r.arm.pins.penalty)
    return float(notes.settle(penalty, r, f"{at}/penalty", pinned, r.arm.pointer("penalty")))


def _trained_recipe(r: RecipeSituation, at: str, cuts: Cuts, notes: Notes) -> Recipe:
    pins = r.arm.pins

    def settle(
        r: RecipeSituation, rule: Callable[[RecipeSituation], Choice], name: str, pinned: Any
    ) -> RecipeSituation:
        value = notes.settle(rule, r, f"{at}/{name}", pinned, r.arm.pointer(name))
        return replace(r, settled={**r.settled, name: value})

    more: dict[str, Any] = {}
    if r.arm.formulation in REGRESSED:
        more["penalty"] = _penalty(r, at, notes)
    if r.arm.contrastive:
        r = settle(r, pair_iterations, "pair_iterations", _first(pins.pair_iterations))
    r = settle(r, batch_size, "batch_size", _first(pins.batch_size))
    r = _settle_steps(r, at, cuts, notes)
    r = settle(r, learning_rate, "learning_rate", _first(pins.learning_rate))
    r = settle(r, schedule, "schedule", pins.schedule)
    ratio = pins.warmup_ratio
    r = settle(r, warmup_steps, "warmup_steps", None if ratio is None else ceil(round(ratio * r.settled["steps"], 6)))
    r = settle(r, weight_decay, "weight_decay", pins.weight_decay)
    r = settle(r, max_grad_norm, "max_grad_norm", pins.max_grad_norm)
    if not r.arm.encoded:
        r = settle(r, pretraining_steps, "pretraining_steps", pins.pretraining_steps)
        r = settle(r, replay, "replay", pins.replay)
    stopping = _early_stopping(r, at, notes)
    micro = micro_batch(r, r.settled["batch_size"], trainable_parameters(r))
    because = f"the largest that fits into {limit_bytes(r.experiment, r.facts.device) / 1e9:.1f} GB"
    notes.note(f"{at}/micro_batch", "memory", Choice(value=micro, because=because, rule="fact"))
    if r.taught:
        more |= _taught(r, at, notes)
    return Recipe(n=r.level.n, micro_batch=micro, **dict(r.settled), **stopping, **more)


def _taught(r: RecipeSituation, at: str, notes: Notes) -> dict[str, int]:
    """What the teacher sees and answers."""
    shown = _demonstrations(r, at, notes) if r.arm.pins.context is None else 0
    return {"demonstrations": shown, "transfer": notes.settle(transfer, r, f"{at}/transfer")}


def _settle_steps(r: RecipeSituation, at: str, cuts: Cuts, notes: Notes) -> RecipeSituation:
    pins, ruled = r.arm.pins, weighed(steps(r), ("steps",), r)
    wanted = _first(pins.steps)
    if pins.epochs is not None:
        wanted = max(1, ceil(pins.epochs[0] * r.examples / r.settled["batch_size"]))
    if wanted is None and cuts.steps is not None:
        value = min(int(ruled.value), cuts.steps)
        because = f"{ruled.value} updates by the rules; {value} fit the limits"
        notes.note(f"{at}/steps", "budget", cut(value, ruled, because))
    else:
        written = "epochs" if pins.epochs is not None else "steps"
        value = notes.settle(steps, r, f"{at}/steps", wanted, r.arm.pointer(written))
    return replace(r, settled={**r.settled, "steps": value})


def _early_stopping(r: RecipeSituation, at: str, notes: Notes) -> dict[str, Any]:
    choice = weighed(early_stopping(r), ("early_stopping",), r)
    if r.arm.pins.early_stopping is False and choice.value is not None:
        choice = pin(None, choice)
    value = choice.value or {"evaluate_every": None, "patience": None}
    for field in ("evaluate_every", "patience"):
        notes.note(f"{at}/{field}", "early_stopping", replace(choice, value=value[field]))
    return dict(value)


def micro_batch(a: ArmSituation, batch: int, trainable: int) -> int:
    """The batch, halved until the predicted peak fits; never below one."""
    limit, micro = limit_bytes(a.experiment, a.facts.device), batch
    while micro > 1:
        texts = 2 * micro if a.arm.preference or a.arm.contrastive else micro
        load = Load(a.arm.adaptation, a.precision, trainable, texts, a.max_tokens + a.max_new_tokens, a.max_new_tokens,
                    a.depth)  # fmt: skip
        if peak_bytes(a.facts.model, a.facts.device, load) <= limit:
            break
        micro = ceil(micro / 2)
    return micro


def _first(values: tuple[Any, ...] | None) -> Any:
    return values[0] if values else None


def _unique_names(arms: list[ResolvedArm]) -> tuple[ResolvedArm, ...]:
    """Number arms that would share a name."""
    unique: dict[str, ResolvedArm] = {}
    for resolved in arms:
        name = free(resolved.arm.name, unique, " #")
        unique[name] = replace(resolved, arm=resolved.arm.model_copy(update={"name": name}))
    return tuple(unique.values())
