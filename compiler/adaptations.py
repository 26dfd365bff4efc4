"""What the compiler knows of each adaptation: its name in tables, settings, moving parameters, rate, and who wants it.

LoRA's geometry and full fine-tuning have rules of their own in `rules`; the others are here, a row each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fewtune.compiler.facts import ModelFacts
from fewtune.compiler.memory import lora_parameters
from fewtune.compiler.roles import BEHIND, names_of
from fewtune.compiler.rules.adapter_placement import adapter_placement
from fewtune.compiler.rules.adapter_width import adapter_width
from fewtune.compiler.rules.layer_decay import layer_decay
from fewtune.compiler.rules.top_layers import top_layers
from fewtune.compiler.rules.virtual_tokens import virtual_tokens
from fewtune.compiler.situation import ArmSituation, Choice
from fewtune.specs.methods import Adaptation


@dataclass(frozen=True)
class Setting:
    """A value that an adaptation needs."""

    name: str
    """Of the pin, and of the situation's field."""
    rule: Callable[[ArmSituation], Choice]
    pointer: str
    """Below the arm."""


@dataclass(frozen=True, kw_only=True)
class Trait:
    """One adaptation."""

    shown: str
    """Its name in tables."""
    moving: Callable[[ArmSituation], int]
    """Moving parameters, a head excluded."""
    settings: tuple[Setting, ...] = ()
    size: Callable[[ArmSituation], str] = lambda _: ""
    """What stands behind the name."""
    rate: float | None = None
    """Learning rate; None: `rules/learning_rate.py` knows more."""
    unasked: tuple[str, str] | None = None
    """(row, why) it is no arm unless it is asked for; None: `rules/methods.py` knows more."""
    lacks: Callable[[ModelFacts], str] = lambda _: ""
    """What keeps a model from it, in words; empty: nothing."""


DECAY = Setting("layer_decay", layer_decay, "/layer_decay")
TOKENS = Setting("virtual_tokens", virtual_tokens, "/virtual_tokens")


def _low_rank(a: ArmSituation) -> int:
    return lora_parameters(a.facts.model, a.rank, a.targets)


def _decomposed(a: ArmSituation) -> int:
    lengths = sum(site.d_out * site.count for site in a.facts.model.linears if site.name in a.targets)
    return _low_rank(a) + lengths


def _rank(a: ArmSituation) -> str:
    return f"r={a.rank}" + (" rslora" if a.rslora else "") + (f" B x{a.lr_ratio:g}" if a.lr_ratio != 1.0 else "")


def _adapters(a: ArmSituation) -> int:
    """2 h m + h + m for each: arXiv 1902.00751 section 2.1."""
    model = a.facts.model
    places = names_of([site.name for site in model.linears], *BEHIND[a.placement])
    count = sum(site.count for site in model.linears if site.name in places and site.d_out == model.hidden)
    return count * (2 * model.hidden * a.width + model.hidden + a.width)


def _no_places(model: ModelFacts) -> str:
    known = names_of([site.name for site in model.linears], *BEHIND["houlsby"])
    return "" if known else f"it is not known where the sublayers of {model.architecture} end"


def _keys(a: ArmSituation) -> int:
    """2 L l h_kv."""
    model = a.facts.model
    return 2 * model.layers * a.virtual_tokens * (model.hidden // model.heads) * model.kv_heads


def _top(a: ArmSituation) -> int:
    """Whole blocks, and the norm behind them."""
    model = a.facts.model
    last = model.hidden * (2 if model.biases else 1)
    outside = model.embedding_parameters + (0 if model.tied else model.vocabulary * model.hidden) + last
    return a.top_layers * (model.parameters - outside) // model.layers + last


def _scaled(model: ModelFacts) -> tuple[str, ...]:
    return names_of([site.name for site in model.linears], "keys", "values", "mlp-out")


def _factors(a: ArmSituation) -> int:
    """L (d_k + d_v + d_ff): arXiv 2205.05638 section 3.3."""
    model = a.facts.model
    last = names_of([site.name for site in model.linears], "mlp-out")
    return sum(
        (site.d_in if site.name in last else site.d_out) * site.count
        for site in model.linears
        if site.name in _scaled(model)
    )


TRAITS: dict[Adaptation, Trait] = {
    "full": Trait(shown="full", moving=lambda a: a.facts.model.parameters, settings=(DECAY,)),
    "lora": Trait(shown="LoRA", moving=_low_rank, size=_rank),
    "qlora": Trait(shown="QLoRA", moving=_low_rank, size=_rank),
    "dora": Trait(
        shown="DoRA",
        moving=_decomposed,
        size=_rank,
        unasked=("R-042", "an option at very low ranks: slower than LoRA, and a sweep saw no difference"),
    ),
    "adapter": Trait(
        shown="adapters",
        moving=_adapters,
        size=lambda a: f"m={a.width}" + (" pfeiffer" if a.placement == "pfeiffer" else ""),
        settings=(
            Setting("width", adapter_width, "/adapter/width"),
            Setting("placement", adapter_placement, "/adapter/placement"),
        ),
        rate=1e-3,
        unasked=(
            "R-023",
            "LoRA does the same and merges into the weights; adapters stay in the way, up to 40 % slower",
        ),
        lacks=_no_places,
    ),
    "prefix": Trait(
        shown="prefix",
        moving=_keys,
        size=lambda a: f"l={a.virtual_tokens}",
        settings=(TOKENS,),
        rate=1e-2,
        unasked=("R-026", "slow to converge and fragile on small models; known of very large ones"),
    ),
    "prompt": Trait(
        shown="soft prompt",
        moving=lambda a: a.virtual_tokens * a.facts.model.hidden,
        size=lambda a: f"l={a.virtual_tokens}",
        settings=(TOKENS,),
        rate=1e-2,
        unasked=("R-026", "slow to converge and fragile on small models; known of very large ones"),
    ),
    "bitfit": Trait(
        shown="BitFit",
        moving=lambda a: a.facts.model.biases,
        settings=(DECAY,),
        rate=1e-3,
        unasked=(
            "R-025",
            "competes with full fine-tuning on encoders; nothing is known of it on decoders at few labels",
        ),
        lacks=lambda model: "" if model.biases else f"{model.place} has no biases",
    ),
    "norm": Trait(
        shown="norms",
        moving=lambda a: a.facts.model.norms,
        settings=(DECAY,),
        rate=3e-3,
        unasked=("design", "the fewest parameters; close to LoRA on large chat models, unknown at few labels"),
    ),
    "top": Trait(
        shown="top",
        moving=_top,
        size=lambda a: f"{a.top_layers} block{'s' * (a.top_layers > 1)}",
        settings=(Setting("top_layers", top_layers, "/top_layers"), DECAY),
        rate=2e-4,
        unasked=("R-094", "saves memory and time, not quality: below the plain head in the published comparison"),
    ),
    "ia3": Trait(
        shown="IA3",
        moving=_factors,
        rate=1e-2,
        unasked=("design", "few numbers for each task; shown on models of 3 to 11 billion, unknown on small ones"),
        lacks=lambda model: "" if _scaled(model) else f"it is not known which layers of {model.architecture} scale",
    ),
}
"""Adaptation -> what is known of it."""


def felt(pin: str, adaptation: Adaptation) -> bool:
    """Whether a pin of geometry is one of this adaptation's."""
    return adaptation != "none" and any(setting.name == pin for setting in TRAITS[adaptation].settings)


GEOMETRY = {setting.name for trait in TRAITS.values() for setting in trait.settings}
"""Pins of the adaptations here."""


def value_of(pins: Any, setting: Setting) -> Any:
    """A pinned value, the first of a list."""
    given = getattr(pins, setting.name)
    return given[0] if isinstance(given, tuple) else given
