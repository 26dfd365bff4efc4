"""What the store knows, as the compiler asks for it."""

from fewtune.compiler.diff import KnownWork
from fewtune.compiler.plan import Plan
from fewtune.store.known import Known


def work_of(known: Known, plan: Plan) -> KnownWork:
    """The known fingerprints of a plan, and its choice where that was made."""
    select = next(stage.fingerprint for stage in plan.stages if stage.kind == "select")
    return KnownWork(
        fitted=frozenset(known.fitted),
        scored=frozenset(known.evaluated),
        failed=known.failed,
        chosen=known.selected.get(select),
    )
