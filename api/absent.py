"""Models that a plan's missing work needs and that are not on this machine: said at plan time, refused before a run."""

from fewtune.api.session import Planned
from fewtune.compiler.encoder import ENCODER
from fewtune.compiler.plan import Arm
from fewtune.specs.diagnostic import Diagnostic


def absent(planned: Planned) -> Diagnostic | None:
    """What is to be fetched first; None: nothing."""
    from fewtune.runtime.minilm import encoder_is_ready
    from fewtune.runtime.smollm2 import is_ready

    stages = [planned.plan.stage_index[stage] for stage in planned.changes.stages]
    arms = [planned.plan.arm(stage.arm) for stage in stages if stage.arm]
    facts, own = planned.probed.facts, planned.probed.facts.encoder is not None
    missing = []
    if facts.model.source == "embedded" and any(map(_reads_language, arms)) and not is_ready():
        missing.append(planned.plan.facts.model)
    if any(arm.encodes or (arm.encoded and not own) for arm in arms) and not encoder_is_ready():
        missing.append(f"the sentence encoder {ENCODER.name}")
    if not missing:
        return None
    message = f"not on this machine yet: {' and '.join(missing)}"
    return Diagnostic(code="E-facts-missing", message=message, remedy="the operator runs `fewtune pull SPEC` once")


def _reads_language(arm: Arm) -> bool:
    """Whether the arm needs the language model."""
    return arm.reads and not arm.encoded
