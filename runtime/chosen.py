"""The model that a run ended with: which arm, what was fitted, and how to ask it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fewtune.compiler.arm import Arm, Verbalizer
from fewtune.compiler.facts import DeviceFacts
from fewtune.compiler.plan import Plan, Stage
from fewtune.compiler.refit import refit_recipe
from fewtune.runtime.executor import threads_each
from fewtune.runtime.folders import embedded_folder, encoder_folder
from fewtune.runtime.job import Answer, Corpus, Job, ModelRef, Row, RowRef, Score, Scored
from fewtune.runtime.lock import read_lock
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.probe.model import encoder_to_tune, model_folder
from fewtune.specs.diagnostic import Diagnostic, RunError, StoreError
from fewtune.store.history import Run
from fewtune.store.reader import Reader


@dataclass(frozen=True)
class Wording:
    """A pattern, and the word of each label."""

    pattern: str | None
    verbalizer: Verbalizer | None


@dataclass(frozen=True)
class Chosen:
    """An arm of a run, fitted on all labels of the largest n."""

    run: Run
    plan: Plan
    arm: Arm
    fingerprint: str
    """Of the fitted state."""
    state: bytes | None
    """What was fitted; None where the arm needs nothing."""
    base: Path
    """The folder of the spec: local models are named relative to it."""

    @cached_property
    def wording(self) -> Wording:
        """How the model is asked; of a search what the fit found."""
        if self.arm.pattern_use != "search" or not self.state:
            return Wording(self.arm.pattern, self.plan.verbalizer)
        from fewtune.runtime.train.state import about, searched

        return Wording(*searched(about(self.state)))

    @property
    def model_folder(self) -> Path:
        """Where the base model's files are.

        Raises:
            RunError: E-facts-missing where they are not on this machine.
        """
        folder = model_folder(self.plan.experiment.model, self.base, read_lock(self.base)) or embedded_folder()
        if not (folder / "config.json").exists():
            message = f"the model {self.plan.facts.model} is not on this machine"
            raise RunError(Diagnostic(code="E-facts-missing", message=message, remedy="run `fewtune pull SPEC`"))
        return folder

    @property
    def encoder_folder(self) -> Path:
        """Where the files of the encoder that arms tune are.

        Raises:
            RunError: E-facts-missing where they are not on this machine.
        """
        folder = encoder_to_tune(self.plan.experiment.model, self.base, read_lock(self.base)) or encoder_folder()
        if not (folder / "config.json").exists():
            message = "the sentence encoder is not on this machine"
            raise RunError(Diagnostic(code="E-facts-missing", message=message, remedy="run `fewtune pull SPEC`"))
        return folder


def chosen(reader: Reader, *, run: str | None = None, arm: str | None = None) -> Chosen:
    """The chosen arm of the latest run, or a named one that was fitted.

    Raises:
        StoreError: E-nothing-to-show where nothing was chosen and fitted yet, E-not-found for an unknown name.
    """
    found = reader.run(run) if run else reader.latest_run()
    if found is None:
        raise _nothing("no run has results here yet", "run `fewtune apply SPEC`")
    plan = reader.plan_of(found.id).plan
    selection = reader.selection_of(found.id)
    name = arm or (selection.arm if selection else None)
    if name is None:
        raise _nothing(f"run {found.id} has not chosen an arm yet", "run `fewtune apply SPEC` to its end")
    if name not in {known.name for known in plan.arms}:
        remedy = f"its arms are {', '.join(known.name for known in plan.arms)}"
        message = f"run {found.id} has no arm {name!r}"
        raise StoreError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
    return _fitted(reader, found, plan, plan.arm(name))


def _fitted(reader: Reader, run: Run, plan: Plan, arm: Arm) -> Chosen:
    base = Path(reader.workspace.root, run.started.spec_folder).resolve()
    if not arm.seeded:
        return Chosen(run, plan, arm, "", None, base)
    for stage in on_all_labels(plan, arm):
        event = reader.history().fitted.get(stage.fingerprint)
        if event is not None:
            state = reader.read(event.artefact) if event.artefact else b""
            return Chosen(run, plan, arm, stage.fingerprint, state, base)
    selection = reader.selection_of(run.id)
    if selection is None or selection.arm == arm.name:
        raise _nothing(f"{arm.name!r} was not fitted on all labels yet", "run `fewtune apply SPEC` to its end")
    message = f"{arm.name!r} was not fitted on all labels: only the chosen arm, {selection.arm!r}, is"
    raise _nothing(message, "leave --arm out, or apply a spec that includes this method only")


def on_all_labels(plan: Plan, arm: Arm) -> list[Stage]:
    """Fits of an arm that saw every label of the largest n: no fold's, none that held out a part."""
    found = [stage for stage in plan.stages if stage.kind == "refit" and stage.arm == arm.name]
    if plan.levels[-1].validation == 0 or plan.levels[-1].scheme == "validation-split":
        found += [
            stage for stage in plan.stages
            if stage.kind == "train" and stage.arm == arm.name and stage.fold is None
            and plan.trial_index[stage.trial or ""].n == plan.final_n
        ]  # fmt: skip
    return found


def _nothing(message: str, remedy: str) -> StoreError:
    return StoreError(Diagnostic(code="E-nothing-to-show", message=message, remedy=remedy), exit_status=7)


def ask(model: Chosen, rows: Sequence[dict[str, str]], device: DeviceFacts, *, precision: str | None = None) -> Scored:
    """Predict a label, or write a text, for each row.

    Args:
        model: what to ask.
        rows: pattern field -> text.
        device: where to compute.
        precision: bf16 or fp32; None: as trained.

    Raises:
        RunError: E-run where the engine failed.
    """
    from fewtune.runtime.train.engine import Engine

    arm = model.arm if precision is None else model.arm.model_copy(update={"precision": precision})
    corpus = Corpus(labels=model.plan.labels, splits={"ask": tuple(Row(fields=row) for row in rows)})
    threads, steady = threads_each(device.cores)
    engine = Engine(_reference(model), corpus, device=device.kind, threads=threads, steady=steady)
    score = Score(stage="ask", fingerprint="", split="ask", rows=RowRef(split="ask", rows=tuple(range(len(rows)))))
    verbalizer = model.plan.verbalizer
    job = Job(
        id="ask", arm=arm, recipe=refit_recipe(arm.recipe(model.plan.final_n)),
        words=verbalizer.words if verbalizer else {}, tokens=verbalizer.tokens if verbalizer else {},
        metric=model.plan.metric,
        fit=None, scores=(score,),
    )  # fmt: skip
    return _only(engine.run(job, state=model.state))


def _reference(model: Chosen) -> ModelRef:
    if model.arm.encoded:
        return ModelRef(path="", weights_hash="", tuned_encoder=str(model.encoder_folder))
    if model.arm.encodes and not encoder_is_ready():
        message = "the sentence encoder is not on this machine"
        raise RunError(Diagnostic(code="E-facts-missing", message=message, remedy="run `fewtune pull SPEC`"))
    if model.arm.plain:
        return ModelRef(path="", weights_hash="", encoder=str(encoder_folder()))
    encoder = str(encoder_folder()) if model.arm.encodes else ""
    return ModelRef(path=str(model.model_folder), weights_hash=model.plan.facts.model_hash, encoder=encoder)


def _only(answer: Answer) -> Scored:
    scored = [outcome for outcome in answer.outcomes if isinstance(outcome, Scored)]
    if answer.failure is not None or not scored:
        remedy = "fewer or shorter texts, or a machine with more memory"
        raise RunError(Diagnostic(code="E-run", message=answer.message or "no prediction came back", remedy=remedy))
    return scored[0]
