"""One arm's values and recipes, settled by rules and pins in their order."""

from collections.abc import Callable
from dataclasses import fields, replace
from math import ceil
from typing import Any, TypeVar

from fewtune.compiler.adaptations import TRAITS, value_of
from fewtune.compiler.arm import (
    HEADED,
    PLAIN,
    PROBES,
    PROMPTED,
    REGRESSED,
    AdapterShape,
    Arm,
    Distillation,
    Generation,
    Lora,
    PreferenceLoss,
    Recipe,
)
from fewtune.compiler.memory import Load, limit_bytes, peak_bytes
from fewtune.compiler.naming import arm_name
from fewtune.compiler.notes import Notes, cut, pin
from fewtune.compiler.plan import Level
from fewtune.compiler.resolution import Cuts, ResolvedArm
from fewtune.compiler.rules.batch_size import batch_size
from fewtune.compiler.rules.beta import beta
from fewtune.compiler.rules.calibration import calibration
from fewtune.compiler.rules.context import context
from fewtune.compiler.rules.demonstrations import demonstrations
from fewtune.compiler.rules.demonstrations_by import demonstrations_by
from fewtune.compiler.rules.early_stopping import early_stopping
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
from fewtune.compiler.rules.objective import objective
from fewtune.compiler.rules.odds_weight import odds_weight
from fewtune.compiler.rules.pair_iterations import pair_iterations
from fewtune.compiler.rules.pattern_use import pattern_use
from fewtune.compiler.rules.penalty import penalty
from fewtune.compiler.rules.pretraining_steps import pretraining_steps
from fewtune.compiler.rules.regularisation import regularisation
from fewtune.compiler.rules.replay import replay
from fewtune.compiler.rules.reward_margin import reward_margin
from fewtune.compiler.rules.rslora import rslora
from fewtune.compiler.rules.schedule import schedule
from fewtune.compiler.rules.steps import steps
from fewtune.compiler.rules.stop_at_newline import stop_at_newline
from fewtune.compiler.rules.temperature import temperature
from fewtune.compiler.rules.transfer import transfer
from fewtune.compiler.rules.warmup_steps import warmup_steps
from fewtune.compiler.rules.weight_decay import weight_decay
from fewtune.compiler.situation import ArmIdea, ArmSituation, Choice, RecipeSituation, Situation
from fewtune.compiler.verbalizers import verbalizers
from fewtune.compiler.weighing import weighed
from fewtune.specs.methods import LOW_RANK

S = TypeVar("S", bound=Situation)


def resolved_arm(s: Situation, idea: ArmIdea, cuts: Cuts, outer: Notes) -> ResolvedArm:
    """Settle everything that an idea for an arm leaves open.

    Args:
        s: the experiment's scope, settled.
        idea: method, pins and origin.
        cuts: what limits took away.
        outer: where warnings go; the choices stand in the arm.
    """
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
