"""Which arms there are: those of the rules' methods and of the spec, one for each listed pin and pattern."""

from collections.abc import Collection, Mapping
from itertools import product
from typing import Any

from fewtune.compiler.adaptations import GEOMETRY, felt
from fewtune.compiler.arm import PROMPTED, REGRESSED
from fewtune.compiler.rules.methods import UNASKED, methods
from fewtune.compiler.situation import ArmIdea, Choice, Situation, cited
from fewtune.compiler.wording import head_pattern
from fewtune.specs.methods import ENCODED, LOW_RANK, METHODS, ArmPin, MethodName, PatternUse, Pins
from fewtune.specs.task import PATTERN_NAMES

SWEPT = (
    "rank",
    "width",
    "virtual_tokens",
    "top_layers",
    "learning_rate",
    "steps",
    "epochs",
    "batch_size",
    "demonstrations",
    "temperature",
    "penalty",
    "demonstrations_by",
    "calibration",
    "pattern_use",
    "pair_iterations",
)
"""Pins whose lists make an arm of each value."""


def arm_ideas(s: Situation, said: Mapping[MethodName, Choice] | None = None) -> tuple[ArmIdea, ...]:
    """Baselines first, then the candidates by the rules' order; what the spec pins, includes and excludes wins.

    `said` is `methods(s)`, where it is known already.
    """
    wanted = s.experiment.methods
    ideas: list[ArmIdea] = []
    for method, ruled in (said or methods(s)).items():
        included = method in wanted.include
        choice = ruled
        if included:
            choice = Choice(value=True, because="methods.include names it", rule="pin", fired=cited(ruled))
        if choice.value and method not in wanted.exclude and not (_written(s, method) and not included):
            origin, place = ("include", "/methods/include") if included else ("rules", "/methods")
            ideas += _variants(s, method, wanted.pin, choice, origin=origin, place=place)
    for index, arm in enumerate(wanted.arms):
        choice = Choice(value=True, because="methods.arms writes it", rule="pin")
        own = frozenset(name for name in Pins.model_fields if getattr(arm, name) is not None)
        ideas += _variants(
            s, arm.method, merged(wanted.pin, arm), choice, origin="arms", name=arm.name,
            place=f"/methods/arms/{index}", own=own,
        )  # fmt: skip
    return tuple(ideas)


def _written(s: Situation, method: MethodName) -> bool:
    """Whether arms of the spec stand in the place of the rules' arm: trained and in-context ones, or the very one."""
    arms = s.experiment.methods.arms
    return bool(arms) and (METHODS[method][1] != "none" or method == "in-context" or method in {a.method for a in arms})


def left_out(
    s: Situation, present: Collection[MethodName], said: Mapping[MethodName, Choice] | None = None
) -> dict[MethodName, Choice]:
    """Methods that are no arm, with the reason; `said` as in `methods`."""
    wanted = s.experiment.methods
    absent: dict[MethodName, Choice] = {}
    told = {_told(method) for method in present}
    # what no rule wants is named once for each adaptation, of an encoder once for each formulation
    for method, ruled in (said or methods(s)).items():
        if method in wanted.exclude:
            absent[method] = Choice(value=False, because="methods.exclude names it", rule="pin")
        elif method not in present and ruled.value:
            absent[method] = Choice(value=False, because="methods.arms writes the arms out", rule="pin")
        elif method not in present and not (method in UNASKED and _told(method) in told):
            absent[method] = ruled
            told.add(_told(method))
    return absent


def _told(method: MethodName) -> str:
    """What is said of a method that no rule wants, and not again of the next one."""
    formulation, adaptation = METHODS[method]
    return formulation if formulation in ENCODED else adaptation


def merged(common: Pins, own: ArmPin) -> Pins:
    """The arm's own pins over those for all arms; steps and epochs exclude each other."""
    mine = {name: getattr(own, name) for name in Pins.model_fields if getattr(own, name) is not None}
    base = {name: getattr(common, name) for name in Pins.model_fields if getattr(common, name) is not None}
    if "steps" in mine or "epochs" in mine:
        base.pop("steps", None), base.pop("epochs", None)
    return Pins.model_validate(base | mine)


def applies(pin: str, method: MethodName, pins: Pins) -> bool:
    """Whether a listed pin makes arms of this method, with these pins."""
    formulation, adaptation = METHODS[method]
    taught = adaptation != "none" and pins.objective not in (None, "supervised")
    if pin in ("demonstrations", "temperature"):
        return taught or (pin == "demonstrations" and formulation == "in-context")
    if pin == "penalty":
        return formulation in REGRESSED
    if pin == "pair_iterations":
        return formulation == "setfit"
    if pin in GEOMETRY:
        return felt(pin, adaptation)
    if pin == "demonstrations_by":
        return formulation == "in-context"
    if pin == "calibration":
        return taught or (formulation in PROMPTED and adaptation == "none")
    if pin == "pattern_use":
        return formulation in PROMPTED
    return adaptation in LOW_RANK if pin == "rank" else adaptation != "none"


def _uses(s: Situation, method: MethodName) -> tuple[PatternUse, ...]:
    """What arms of this method can do with several patterns.

    A search looks at labels, which zero-shot does without; written texts have no mean; preferences have no right answer
    whose likelihood could rank patterns.
    """
    if METHODS[method][0] not in PROMPTED:
        return ()
    if s.experiment.task.prefers:
        return ("each",)
    if s.writes:
        return ("each",) if method == "zero-shot" else ("each", "search")
    return ("each", "ensemble") if method == "zero-shot" else ("each", "search", "ensemble")


def _menu(s: Situation) -> tuple[str, ...]:
    """The patterns of a search or an ensemble: those of the spec, else the usual one and those that have a name."""
    return tuple(dict.fromkeys(s.patterns if s.experiment.task.patterns else (*s.patterns, *s.named_patterns.values())))


def _patterns(s: Situation, text: str | None) -> Any:
    """How an arm's name shows a pattern: its name, or its place from 1 on."""
    place = s.patterns.index(text or "")
    written = (s.experiment.task.patterns or ())[place]
    return written if written in PATTERN_NAMES else place + 1


def _variants(
    s: Situation,
    method: MethodName,
    pins: Pins,
    choice: Choice,
    *,
    origin: str,
    name: str | None = None,
    place: str,
    own: frozenset[str] = frozenset(),
) -> list[ArmIdea]:
    """One arm for each combination of listed pins and patterns."""
    formulation = METHODS[method][0]
    if formulation in ENCODED and "targets" not in own:
        pins = pins.model_copy(update={"targets": None})  # names of the language model's layers
    prompted = formulation in PROMPTED
    known = tuple(use for use in pins.pattern_use or () if use in _uses(s, method))
    pins = pins.model_copy(update={"pattern_use": known or None, **({"calibration": None} if s.writes else {})})
    swept = [pin for pin in SWEPT if getattr(pins, pin) is not None and applies(pin, method, pins)]
    texts: tuple[str | None, ...] = (None,)
    if prompted:
        texts = s.patterns
    elif formulation == "probe":
        texts = s.patterns[:1]
    elif formulation == "head":
        texts = (head_pattern(s.experiment),)
    ideas = []
    for text, *values in product(texts, *(getattr(pins, pin) for pin in swept)):
        single: dict[str, Any] = {pin: (value,) for pin, value in zip(swept, values, strict=True)}
        together = single.get("pattern_use", ("each",)) != ("each",)
        if together and text != texts[0]:
            continue
        variant = [(pin, value) for pin, value in zip(swept, values, strict=True) if len(getattr(pins, pin)) > 1]
        if len(texts) > 1 and not together:
            variant.append(("pattern", _patterns(s, text)))
        ideas.append(
            ArmIdea(
                method=method,
                pins=pins.model_copy(update=single),
                role="baseline" if METHODS[method][1] == "none" else "candidate",
                origin=origin,
                name=name,
                pattern=text,
                patterns=_menu(s) if together else (),
                place=place,
                own_pins=own,
                variant=tuple(variant),
                choice=choice,
                writes=s.writes,
                marks=s.marks,
            )
        )
    return ideas
