"""The plan of a run, kept as an artefact named by its own content.

Two runs may share a plan's hash and differ in its name, notes or estimate; so the file is named by all of it.
"""

from pydantic import ValidationError

from fewtune.compiler.fingerprint import canonical, fingerprint
from fewtune.compiler.plan import Plan
from fewtune.compiler.price import Estimate
from fewtune.specs.frozen import Frozen
from fewtune.store.artefacts import PLAN, Artefact, foreign


class SavedPlan(Frozen):
    """A plan with its hash and its estimate, as `plan --save` writes them."""

    plan_hash: str
    plan: Plan
    estimate: Estimate

    @property
    def artefact(self) -> Artefact:
        """The file that keeps it."""
        content = self.model_dump(mode="json")
        return Artefact(fingerprint=fingerprint("file", content), name=PLAN, content=canonical(content).encode())


def save_plan(plan: Plan, estimate: Estimate) -> SavedPlan:
    """Put a plan beside its hash and estimate."""
    return SavedPlan(plan_hash=plan.hash, plan=plan, estimate=estimate)


def parse_plan(content: bytes) -> SavedPlan:
    """Read the file again.

    Raises:
        StoreError: E-artefact where another version of fewtune wrote it in another form.
    """
    try:
        return SavedPlan.model_validate_json(content)
    except ValidationError as error:
        raise foreign(PLAN, error) from error
