"""What an arm cannot be: nothing to move, nothing to learn from, dropout or noise where there is none."""

from collections.abc import Iterator

from fewtune.compiler import packing
from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.facts import DataFacts
from fewtune.compiler.finding import finding
from fewtune.compiler.noise import flips
from fewtune.compiler.resolution import Resolution
from fewtune.compiler.sample import transferable, untested
from fewtune.specs.diagnostic import Diagnostic


def check_arms(resolution: Resolution) -> Iterator[Diagnostic]:
    """Everything that single arms ask for and cannot have."""
    for check in (_encoder, _lacking, _dropout, _top, _contrasts, _teachers, _pretraining, _noise):
        yield from check(resolution)


def _encoder(resolution: Resolution) -> Iterator[Diagnostic]:
    """An encoder that nothing tunes."""
    s, model = resolution.situation, resolution.situation.experiment.model
    if not (model.encoder or model.encoder_path) or any(resolved.arm.encoded for resolved in resolution.arms):
        return
    message = f"{model.encoder_place} is named, and no arm tunes an encoder"
    remedy = 'methods.include = ["encoder+full"], or remove it'
    if s.writes:
        remedy = "remove it: an encoder writes no texts"
    pointer = "/model/encoder" if model.encoder else "/model/encoder_path"
    yield finding("E-no-effect", message, pointer, remedy=remedy)


def _dropout(resolution: Resolution) -> Iterator[Diagnostic]:
    """Dropout where it is not built: masks are drawn for labels that LoRA learns with one rate."""
    for resolved in resolution.arms:
        if resolved.arm.masked and packing.key(resolved.arm) is None:
            message = (
                f"{resolved.arm.name}: inputs drop out only in plain LoRA that learns one label or one target a text"
            )
            remedy = "no dropout for this arm: pin it for others in methods.arms"
            yield finding("E-conflict", message, resolved.idea.pointer("dropout"), remedy=remedy)


def _lacking(resolution: Resolution) -> Iterator[Diagnostic]:
    """Arms whose adaptation has nothing to move in this base."""
    for resolved in resolution.arms:
        arm = resolved.arm
        model = resolution.situation.through(arm.formulation).facts.model
        lacking = TRAITS[arm.adaptation].lacks(model) if arm.trained else ""
        if lacking:
            yield finding("E-conflict", f"{arm.name}: {lacking}", resolved.idea.place, remedy="another adaptation")


def _teachers(resolution: Resolution) -> Iterator[Diagnostic]:
    """Arms that a teacher cannot teach."""
    s = resolution.situation
    for resolved in resolution.arms:
        arm, at = resolved.arm, resolved.idea.pointer("objective")
        if arm.distillation is None:
            continue
        if arm.formulation != "pattern":
            message = f"{arm.name}: a teacher answers with label words, and the student has to answer with them, too"
            yield finding("E-conflict", message, at, remedy="a method with a pattern, on a task with labels")
        elif arm.objective == "context-distillation" and not transferable(s.facts.data):
            message = f"{arm.name}: {_none(s.facts.data, 'unlabelled')} for the teacher to answer"
            remedy = f"{_other(s.facts.data, 'unlabelled')}, or few-shot-distillation"
            yield finding("E-conflict", message, at, remedy=remedy)


def _pretraining(resolution: Resolution) -> Iterator[Diagnostic]:
    """Continued pre-training without texts."""
    data = resolution.situation.facts.data
    for resolved in resolution.arms:
        recipes = resolved.arm.recipes
        if any(recipe.pretraining_steps for recipe in recipes) and not transferable(data):
            message = f"{resolved.arm.name}: {_none(data, 'unlabelled')} to go on with"
            at = resolved.idea.pointer("pretraining_steps")
            yield finding("E-conflict", message, at, remedy=_other(data, "unlabelled"))
        elif any(recipe.replay for recipe in recipes) and not untested(data, "replay"):
            message = f"{resolved.arm.name}: {_none(data, 'replay')} to replay"
            yield finding("E-conflict", message, resolved.idea.pointer("replay"), remedy=_other(data, "replay"))


def _none(data: DataFacts, split: str) -> str:
    """What is missing: the texts, or texts that no evaluation split has."""
    if split in data.splits:
        return f"every text of {data.splits[split].place} is in an evaluation split, too, and none is left"
    return "there are no general texts" if split == "replay" else "there are no texts without labels"


def _other(data: DataFacts, split: str) -> str:
    return f"other texts in data.{split}" if split in data.splits else f"data.{split}"


def _top(resolution: Resolution) -> Iterator[Diagnostic]:
    """More blocks than the base has."""
    for resolved in resolution.arms:
        arm, facts = resolved.arm, resolution.situation.through(resolved.arm.formulation).facts.model
        if arm.top_layers > facts.layers:
            message = f"{arm.name}: {facts.place} has {facts.layers} blocks"
            remedy = f"at most {facts.layers}, or full fine-tuning"
            yield finding("E-conflict", message, resolved.idea.pointer("top_layers"), remedy=remedy)


def _contrasts(resolution: Resolution) -> Iterator[Diagnostic]:
    """Contrastive tuning without pairs of the same label."""
    s = resolution.situation
    smallest = min(level.train for level in s.levels)
    for resolved in resolution.arms:
        if resolved.arm.formulation == "setfit" and smallest < 2 * len(s.label_names):
            message = f"{resolved.arm.name}: {smallest} labels are too few for two of each, which a pair is made of"
            yield finding("E-conflict", message, resolved.idea.place, remedy="more labels, or leave the arm out")


def _noise(resolution: Resolution) -> Iterator[Diagnostic]:
    """Whether each share of label noise turns labels, and more than the one before."""
    s, at = resolution.situation, "/data/label_noise"
    shares = s.experiment.data.noise_shares
    kinds = len(s.label_names)
    if shares and shares[-1] > 1 - 1 / kinds:
        message = (
            f"{100 * shares[-1]:g} % wrong labels of {kinds} kinds: above {100 * (1 - 1 / kinds):.0f} % each text's "
        )
        message += "own label is its rarest, and what is learnt is what it is not"
        yield finding("W-label-noise", message, at, remedy="smaller shares measure what clean labels are worth")
    for level in s.levels if shares else ():
        counts = [0, *(flips(share, level.train) for share in shares)]
        idle = [share for share, few, many in zip(shares, counts, counts[1:], strict=False) if few == many]
        if idle:
            message = f"{100 * idle[0]:g} % of {level.train} training labels are no more than the share before"
            remedy = "larger shares, further apart, or more labels"
            yield finding("E-no-effect", message, at, remedy=remedy)
            return
