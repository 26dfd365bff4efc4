"""What a plan's missing work needs and this machine lacks.

Models are named at plan time and refused before a run. What an endpoint is asked with is named at plan time only:
without it the teacher's arms alone stop, and where the plan is applied it may be there.
"""

import os
from importlib.util import find_spec

from fewtune.api.session import Planned
from fewtune.compiler.arm import Arm
from fewtune.compiler.encoder import ENCODER
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


def unready(planned: Planned) -> tuple[Diagnostic, ...]:
    """What a teacher behind an endpoint could not be asked without, as warnings: its key, and the client library.

    Nothing of it is in the plan: the key may be there when the plan is applied, or where.
    """
    asked = planned.plan.experiment.augmentation
    teacher = asked.teacher if asked else None
    wanted = any(stage.startswith("augment/teacher/") for stage in planned.changes.stages)
    if teacher is None or teacher.base_url is None or teacher.recording is not None or not wanted:
        return ()
    found = []
    if find_spec("openai") is None:
        message = "the client of endpoints, openai, is not installed here: the teacher could not be asked"
        found.append(
            Diagnostic(
                code="E-training-missing", severity="warning", message=message, pointer="/augmentation/teacher",
                remedy="pip install 'fewtune[teacher]'",
            )
        )  # fmt: skip
    if teacher.key_variable is not None and not os.environ.get(teacher.key_variable):
        message = (
            f"the environment variable {teacher.key_variable} is not set here: the teacher could not be asked, and "
            "its arms would fail"
        )
        remedy = "set it to the endpoint's key before `fewtune apply`, or leave key_variable out where none is needed"
        found.append(
            Diagnostic(
                code="E-teacher", severity="warning", message=message, pointer="/augmentation/teacher/key_variable",
                remedy=remedy,
            )
        )  # fmt: skip
    return planned.loaded.located(tuple(found))
