"""What an arm cannot be: nothing to move, nothing to learn from, dropout or noise where there is none."""

from collections.abc import Iterator

from fewtune.compiler import packing
from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.finding import finding
from fewtune.compiler.noise import flips
from fewtune.compiler.resolve import Resolution
from fewtune.compiler.sample import transferable, untested
from fewtune.specs.diagnostic import Diagnostic


def check_arms(resolution: Resolution) -> Iterator[Diagnostic]:
    """Everything that single arms ask for and cannot have."""
    for check in (_encoder, _lacking, _dropout, _teachers, _pretraining, _noise):
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
            message = f"{resolved.arm.name}: inputs drop out in plain LoRA that learns from labels only"
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
            message = f"{arm.name}: there are no texts without labels for the teacher to answer"
            yield finding("E-conflict", message, at, remedy="data.unlabelled, or few-shot-distillation")


def _pretraining(resolution: Resolution) -> Iterator[Diagnostic]:
    """Continued pre-training without texts."""
    data = resolution.situation.facts.data
    for resolved in resolution.arms:
        recipes = resolved.arm.recipes
        if any(recipe.pretraining_steps for recipe in recipes) and not transferable(data):
            message = f"{resolved.arm.name}: there are no texts without labels to go on with"
            at = resolved.idea.pointer("pretraining_steps")
            yield finding("E-conflict", message, at, remedy="data.unlabelled")
        elif any(recipe.replay for recipe in recipes) and not untested(data, "replay"):
            message = f"{resolved.arm.name}: there are no general texts to replay"
            yield finding("E-conflict", message, resolved.idea.pointer("replay"), remedy="data.replay")


def _noise(resolution: Resolution) -> Iterator[Diagnostic]:
    """Whether each share of label noise turns labels, and more than the one before."""
    s, at = resolution.situation, "/data/label_noise"
    shares = s.experiment.data.noise_shares
    for level in s.levels if shares else ():
        counts = [0, *(flips(share, level.train) for share in shares)]
        idle = [share for share, few, many in zip(shares, counts, counts[1:], strict=False) if few == many]
        if idle:
            message = f"{100 * idle[0]:g} % of {level.train} training labels are no more than the share before"
            remedy = "larger shares, further apart, or more labels"
            yield finding("E-no-effect", message, at, remedy=remedy)
            return
