"""Synthetic data from Python: three calls on `datasets.Dataset`.

pipeline = SyntheticPipeline(teacher_model="gpt-oss:20b", base_url="http://localhost:11434/v1")
written = pipeline.generate(seeds, target_count=500, task_description="Which department is a message for?")
kept = pipeline.filter(written, evaluation={"test": test})
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewtune.runtime.augment.analysis import analyse
from fewtune.runtime.augment.example import Candidate, Rejected, Seed
from fewtune.runtime.augment.generation import Generated, generate
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.prompting import Brief
from fewtune.runtime.augment.recording import Recording
from fewtune.runtime.augment.synthesis import Synthesis, Synthetic
from fewtune.runtime.augment.table import PROVENANCE, Table, with_columns
from fewtune.runtime.augment.teacher import FREE, Prices, Teacher
from fewtune.runtime.augment.teachers import TeacherRef, opened
from fewtune.runtime.augment.vectors import Encode, embedded_vectors
from fewtune.specs.diagnostic import Diagnostic, RunError


class SyntheticPipeline:
    """A teacher, and what its texts must pass.

    Attributes:
        result: what the last `filter` found: analysis, reasons, shares, cost.
        rejected: the examples that the last `filter` left out, each with its reason; before it, what the teacher wrote
            beyond the target of `generate`.
    """

    def __init__(
        self,
        teacher_model: str | Teacher,
        quality_threshold: float = 0.85,
        diversity_weight: float = 0.3,
        *,
        base_url: str | None = None,
        key_variable: str | None = None,
        recording: str | Path = "teacher_calls.jsonl",
        replay: bool = False,
        prices: Prices = FREE,
        most_tokens: int | None = None,
        most_cost: float | None = None,
        concurrency: int = 4,
        per_minute: float = 0.0,
        seed: int = 0,
        encode: Encode | str | None = "embedded",
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Set it up; nothing is asked yet.

        Args:
            teacher_model: "smollm2-135m-instruct" (embedded), a local folder, an endpoint's model; or a teacher.
            quality_threshold: least probability that a label is right.
            diversity_weight: 0 selects by quality alone, 1 by distance alone.
            base_url: of an OpenAI-compatible endpoint.
            key_variable: name of the environment variable that holds its key; without base_url, of the vendor's own.
            recording: file of the calls; what is in it is not asked again.
            replay: whether only the recording answers.
            prices: of the endpoint, for `most_cost`.
            most_tokens: ceiling.
            most_cost: ceiling.
            concurrency: requests at the same time.
            per_minute: requests a minute at most; 0: no limit.
            seed: of what is drawn.
            encode: the sentence encoder; None: words alone.
            say: is told how far it is.

        Raises:
            RunError: E-usage for a share that is none.
        """
        for name, share in (("quality_threshold", quality_threshold), ("diversity_weight", diversity_weight)):
            if not 0 <= share <= 1:
                raise _unusable(f"{name} is {share}", "give a share, 0 to 1")
        self.quality_threshold, self.diversity_weight, self.seed, self._say = (
            quality_threshold, diversity_weight, seed, say,
        )  # fmt: skip
        self._teacher = teacher_model if not isinstance(teacher_model, str) else None
        self._ref = TeacherRef(
            model=teacher_model if isinstance(teacher_model, str) else teacher_model.model, base_url=base_url,
            key_variable=key_variable, concurrency=concurrency, per_minute=per_minute, prices=prices, replay=replay,
        )  # fmt: skip
        self._recording = Path(recording)
        self._ceilings = most_tokens, most_cost, prices
        self._encode = embedded_vectors() if isinstance(encode, str) else encode
        self._seeds: list[Seed] = []
        self._table: Table | None = None
        self._note = ""
        self._written: Generated | None = None
        self._beyond: tuple[Rejected, ...] = ()
        self.result: Synthetic | None = None

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What the last `filter` left out, or `generate` after it."""
        return self.result.rejected if self.result else self._beyond

    def generate(
        self,
        seed_examples: Any,
        target_count: int,
        task_description: str,
        domain_constraints: Sequence[str] = (),
        *,
        attributes: Mapping[str, Sequence[str]] | None = None,
        label_plan: str | Mapping[str, float] = "balanced",
        text: str | Sequence[str] = "text",
        label: str = "label",
    ) -> Any:
        """Let the teacher write.

        Args:
            seed_examples: a `datasets.Dataset` (or any sequence of mappings) with texts and labels.
            target_count: readable examples that it is to write; of more, those that say most are returned.
            task_description: what the labels say of a text.
            domain_constraints: what every text must keep to.
            attributes: what is varied: name -> values.
            label_plan: balanced, proportional, or label -> weight.
            text: the column of the text, or the columns of a pair.
            label: the column of the label.

        Returns:
            A `datasets.Dataset` with the columns of the seeds, of the same types (a ClassLabel, too), and where each
            row comes from.

        Raises:
            RunError: E-usage for arguments that say nothing; E-teacher, E-not-recorded, E-recording.
        """
        if target_count < 1:
            raise _unusable(f"target_count is {target_count}", "ask for one example or more")
        named = attributes or {}
        if isinstance(domain_constraints, str) or any(isinstance(values, str) for values in named.values()):
            remedy = 'domain_constraints = ["..."], attributes = {"tone": ["...", "..."]}'
            raise _unusable("a text stands where texts are listed", remedy)
        table, seeds = _labelled(seed_examples, text, label)
        brief = Brief(
            labels=table.names, fields=table.fields, task=task_description, constraints=tuple(domain_constraints),
            attributes={name: tuple(values) for name, values in named.items()}, seed=self.seed,
        )  # fmt: skip
        synthesis = self._synthesis(brief, target_count, label_plan)
        plan = synthesis.plan(seeds)
        analysis = analyse(seeds, table.names, self._encode)
        recording = Recording(self._recording)
        try:
            teacher = self._teacher or opened(self._ref, recording, say=self._say)
            written = generate(brief, plan, seeds, analysis, teacher, self._ledger(teacher, recording), self._say)
            self._note = teacher.note
        finally:
            recording.close()
        stay, self._beyond = synthesis.to_target(seeds, written.candidates)
        self._written, self.result = replace(written, candidates=stay), None
        self._table, self._seeds = table, seeds
        return table.dataset(self._written.candidates)

    def _ledger(self, teacher: Teacher, recording: Recording) -> Ledger:
        return Ledger(*self._ceilings, lost=lambda question: recording.lost_on(teacher.model, question))

    def filter(
        self,
        dataset: Any = None,
        *,
        evaluation: Mapping[str, Any] | None = None,
        want: int | None = None,
        seed_examples: Any = None,
        text: str | Sequence[str] = "text",
        label: str = "label",
    ) -> Any:
        """Keep what passes the tests.

        Args:
            dataset: a `datasets.Dataset` (or any sequence of mappings) with texts and labels, whoever wrote them: what
                `generate` returned, a part of it, edited rows, others; None: all that `generate` returned.
            evaluation: evaluation split -> its rows: nothing of them may be in the result.
            want: how many are to stay at most; None: all that pass.
            seed_examples: what the rows are compared with and judged by; None: those of `generate`.
            text: the column of the text, or the columns of a pair; of `seed_examples` only.
            label: the column of the label; of `seed_examples` only.

        Returns:
            The rows that stay, best first, with all their columns (texts and label as in the seeds, where these are a
            `datasets.Dataset`), `quality` (null: it could not be told) and their provenance (null: nobody knows);
            `rejected` has the others.

        Raises:
            RunError: E-usage where there is nothing to filter or to compare with, or a column is missing.
        """
        if seed_examples is None and self._table is not None:
            table, seeds = self._table, self._seeds
        else:
            table, seeds = _labelled(seed_examples, text, label)
        if dataset is None and self._written is None:
            raise _unusable("there is nothing to filter yet", "give a data set, or call generate first")
        if (evaluation is not None and not isinstance(evaluation, Mapping)) or (want is not None and want < 0):
            raise _unusable("evaluation names splits, and want is 0 or more", 'evaluation = {"test": rows}')
        rows = _dataset(table.dataset(self._written.candidates) if dataset is None and self._written else dataset)
        candidates = table.candidates(rows)
        held = {split: table.held(split_rows) for split, split_rows in (evaluation or {}).items()}
        synthesis = self._synthesis(Brief(labels=table.names, fields=table.fields, task=""), 0)
        synthesis.evaluation, synthesis.want = held, want
        own = self._own(candidates)
        self.result = synthesis.filtered(
            seeds, analyse(seeds, table.names, self._encode), candidates, self._note if own else "",
            own.stopped if own else "", own.ledger if own else Ledger(),
        )  # fmt: skip
        places = {id(candidate): place for place, candidate in enumerate(candidates)}
        kept = rows.select([places[id(one.candidate)] for one in self.result.kept])
        kept = table.like_seeds(kept, [one.candidate for one in self.result.kept])
        kept = kept.remove_columns([name for name in ("quality",) if name in kept.column_names])
        unknown = {name: [None] * len(kept) for name in PROVENANCE if name not in kept.column_names}
        return with_columns(kept, {**unknown, "quality": [one.quality for one in self.result.kept]})

    def _own(self, candidates: Sequence[Candidate]) -> Generated | None:
        """What this pipeline's teacher wrote, where all candidates come from its calls."""
        known = {one.call for one in self._written.candidates} if self._written else set()
        return self._written if all(one.call in known for one in candidates) else None

    def _synthesis(self, brief: Brief, target: int, label_plan: str | Mapping[str, float] = "balanced") -> Synthesis:
        return Synthesis(brief, target, label_plan, self.quality_threshold, self.diversity_weight, encode=self._encode,
                         say=self._say)  # fmt: skip


def _labelled(rows: Any, text: str | Sequence[str], label: str) -> tuple[Table, list[Seed]]:
    """(which columns hold what, the seeds).

    Raises:
        RunError: E-usage where there are none, or a column is missing.
    """
    if rows is None or not len(rows):
        raise _unusable(
            "there are no seeds", "give labelled rows in seed_examples; filter also takes those of generate"
        )
    table = Table((text,) if isinstance(text, str) else text, label, rows)
    return table, table.seeds(rows)


def _dataset(rows: Any) -> Any:
    from datasets import Dataset

    return rows if isinstance(rows, Dataset) else Dataset.from_list([dict(row) for row in rows])


def _unusable(message: str, remedy: str) -> RunError:
    return RunError(Diagnostic(code="E-usage", message=message, remedy=remedy))
