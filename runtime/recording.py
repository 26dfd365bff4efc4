"""A worker's answer as events and artefacts for the journal."""

from dataclasses import asdict, dataclass
from typing import Any

from fewtune.compiler.plan import Plan
from fewtune.runtime.families import Family, JobMaker
from fewtune.runtime.job import Answer, Corpus, Fitted, Scored
from fewtune.store import event as happened
from fewtune.store.artefacts import STATE, Artefact
from fewtune.store.judgements import Judgements
from fewtune.store.markings import DECIMALS, Markings
from fewtune.store.predictions import Predictions
from fewtune.store.writings import Writings


@dataclass(frozen=True)
class Recorder:
    """Knows the rows that predictions are about."""

    plan: Plan
    maker: JobMaker
    corpus: Corpus

    def record(self, family: Family, attempt: str, answer: Answer) -> tuple[list[happened.Event], list[Artefact]]:
        """What the answer's results are in the journal, and the files that they name."""
        events: list[happened.Event] = []
        artefacts: list[Artefact] = []
        for outcome in answer.outcomes:
            if isinstance(outcome, Fitted):
                fitted, state = self._fitted(family, attempt, outcome, answer)
                events.append(fitted)
                artefacts += [state] if state else []
            else:
                scored, predictions = self._scored(attempt, outcome)
                events.append(scored.model_copy(update={"spared_seconds": outcome.spared_seconds}))
                artefacts.append(predictions)
        return events, artefacts

    def _fitted(
        self, family: Family, attempt: str, outcome: Fitted, answer: Answer
    ) -> tuple[happened.Fitted, Artefact | None]:
        kept = outcome.state and not (family.fit and self.plan.is_part(family.fit))
        state = Artefact(fingerprint=outcome.fingerprint, name=STATE, content=outcome.state) if kept else None
        refit = family.fit is not None and family.fit.kind == "refit"
        event = happened.Fitted(
            stage_kind="refit" if refit else "train",
            fingerprint=outcome.fingerprint,
            attempt=attempt,
            artefact=state.ref if state else None,
            steps=outcome.steps,
            best_step=outcome.best_step,
            diverged=outcome.diverged,
            losses=outcome.losses,
            validation=outcome.validation,
            seconds=outcome.seconds,
            tokens=outcome.tokens,
            trainable_parameters=outcome.trainable_parameters,
            peak_memory_bytes=outcome.peak_memory_bytes,
            micro_batch=outcome.micro_batch,
            slots=outcome.slots,
            note=outcome.note,
            device=answer.device,
            versions=answer.versions,
            general=happened.General(**asdict(outcome.general)) if outcome.general else None,
        )
        return event, state

    def _scored(self, attempt: str, outcome: Scored) -> tuple[happened.Evaluated, Artefact]:
        rows = self.corpus.splits[outcome.rows.split]
        told: dict[str, Any] = {
            "fingerprint": outcome.fingerprint, "attempt": attempt, "seconds": outcome.seconds,
            "content": self.maker.content(outcome.rows),
        }  # fmt: skip
        if self.plan.experiment.task.prefers:
            texts = [(rows[row].target, rows[row].rejected) for row in outcome.rows.rows]
            return Judgements.scored(outcome.split, outcome.rows.rows, texts, outcome.judged).evaluated(**told)
        marks = self.plan.experiment.task.marks
        if marks is not None:
            return Markings(
                marks=marks, split=outcome.split, rows=outcome.rows.rows, names=self.plan.labels,
                wanted=tuple(rows[row].marks for row in outcome.rows.rows), said=outcome.marks,
                shares=tuple(tuple(round(share, DECIMALS) for share in row) for row in outcome.probabilities),
            ).evaluated(**told)  # fmt: skip
        if self.plan.experiment.task.writes:
            targets = tuple(rows[row].target for row in outcome.rows.rows)
            return Writings.scored(outcome.split, outcome.rows.rows, targets, outcome.texts).evaluated(**told)
        predictions = Predictions(
            split=outcome.split,
            names=self.plan.labels,
            rows=outcome.rows.rows,
            labels=tuple(rows[row].label for row in outcome.rows.rows),
            predicted=outcome.predicted,
            probabilities=outcome.probabilities,
        )
        return predictions.evaluated(**told)
