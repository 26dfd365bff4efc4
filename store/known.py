"""What need not be computed again: results whose artefacts are there as recorded."""

from collections.abc import Collection
from dataclasses import dataclass

from fewtune.compiler.diff import KnownWork
from fewtune.compiler.plan import Plan
from fewtune.store.artefacts import Artefacts
from fewtune.store.event import ArtefactRef
from fewtune.store.history import History


@dataclass(frozen=True, kw_only=True)
class Known:
    """Results by fingerprint. What was asked for and is in no table must be computed."""

    fitted: dict[str, ArtefactRef | None]
    """Train and refit stages; None where fitting left nothing to keep."""
    evaluated: dict[str, ArtefactRef]
    """Evaluate stages, with their predictions."""
    augmented: dict[str, ArtefactRef]
    """Augment stages, with their examples."""
    selected: dict[str, str]
    """Select stages and halvings, with the chosen arm."""
    kept: dict[str, tuple[str, ...]]
    """Halvings, with the arms that go on."""
    diverged: frozenset[str]
    """Train and refit stages whose loss was not finite: a result, not to be repeated."""
    failed: frozenset[str]
    """Stages whose last attempt failed: to be tried again."""

    def work(self, plan: Plan) -> KnownWork:
        """The same, as `compiler.diff` asks for it."""
        choices = (self.selected.get(stage.fingerprint) for stage in plan.stages if stage.kind == "select")
        return KnownWork(
            fitted=frozenset(self.fitted),
            scored=frozenset(self.evaluated),
            augmented=frozenset(self.augmented),
            failed=self.failed,
            chosen=next((arm for arm in choices if arm is not None), None),
            kept=self.kept,
        )


def known(history: History, artefacts: Artefacts, of: Collection[str] | None = None, *, deep: bool = True) -> Known:
    """Say what is known.

    Args:
        history: the journal's content.
        artefacts: where the artefacts lie; a missing or damaged one makes its result unknown.
        of: the fingerprints asked for; None: all.
        deep: compare hashes of fitted states; without, their sizes. Predictions are always compared by hash.
    """

    def wanted(fingerprint: str) -> bool:
        return of is None or fingerprint in asked

    asked = frozenset(of or ())
    fitted = {
        fingerprint: event.artefact
        for fingerprint, event in history.fitted.items()
        if wanted(fingerprint) and (event.artefact is None or artefacts.sound(event.artefact, deep=deep))
    }
    evaluated = {
        fingerprint: event.artefact
        for fingerprint, event in history.evaluated.items()
        if wanted(fingerprint) and artefacts.sound(event.artefact)
    }
    augmented = {
        fingerprint: event.artefact
        for fingerprint, event in history.augmented.items()
        if wanted(fingerprint) and artefacts.sound(event.artefact)
    }
    return Known(
        fitted=fitted,
        evaluated=evaluated,
        augmented=augmented,
        selected={fingerprint: event.arm for fingerprint, event in history.selected.items() if wanted(fingerprint)},
        kept={fingerprint: arms for fingerprint, arms in history.kept.items() if wanted(fingerprint)},
        diverged=frozenset(fingerprint for fingerprint in fitted if history.fitted[fingerprint].diverged),
        failed=frozenset(fingerprint for fingerprint in history.failed if wanted(fingerprint)),
    )
