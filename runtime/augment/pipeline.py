"""Synthetic data from Python: three calls on `datasets.Dataset`.

pipeline = SyntheticPipeline(teacher_model="gpt-oss:20b", base_url="http://localhost:11434/v1")
written = pipeline.generate(seeds, target_count=500, task_description="Which department is a message for?")
kept = pipeline.filter(written, evaluation={"test": test})
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewtune.runtime.augment.analysis import analyse
from fewtune.runtime.augment.example import Candidate, Rejected, Seed, joined
from fewtune.runtime.augment.generation import Generated, generate
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.prompting import Brief
from fewtune.runtime.augment.recording import Recording
from fewtune.runtime.augment.synthesis import Synthesis, Synthetic
from fewtune.runtime.augment.teacher import FREE, Prices, Teacher
from fewtune.runtime.augment.teachers import TeacherRef, opened
from fewtune.runtime.augment.vectors import Encode, embedded_vectors
from fewtune.specs.diagnostic import Diagnostic, RunError

PROVENANCE = ("origin", "call", "place", "attributes")
"""Columns that say where a row comes from; `origin` of a seed is "seed"."""


class SyntheticPipeline:
    """A teacher, and what its texts must pass.

    Attributes:
        result: what the last `filter` (or `generate` and `filter`) found: analysis, reasons, shares, cost.
        rejected: the examples that the last `filter` left out, each with its reason.
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
            key_variable: name of the environment variable that holds its key.
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
        """
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
        self._names: tuple[str, ...] = ()
        self._written: Generated | None = None
        self.result: Synthetic | None = None

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What the last `filter` left out."""
        return self.result.rejected if self.result else ()

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
            target_count: readable examples that it is to write.
            task_description: what the labels say of a text.
            domain_constraints: what every text must keep to.
            attributes: what is varied: name -> values.
            label_plan: balanced, proportional, or label -> weight.
            text: the column of the text, or the columns of a pair.
            label: the column of the label.

        Returns:
            A `datasets.Dataset` with the columns of the seeds, and where each row comes from.

        Raises:
            RunError: E-teacher, E-not-recorded, E-recording.
        """
        fields = (text,) if isinstance(text, str) else tuple(text)
        self._label, self._names = label, label_names(seed_examples, label)
        self._seeds = seeds_of(seed_examples, fields, label, self._names)
        brief = Brief(
            labels=self._names, fields=fields, task=task_description, constraints=tuple(domain_constraints),
            attributes={name: tuple(values) for name, values in (attributes or {}).items()}, seed=self.seed,
        )  # fmt: skip
        self._synthesis = Synthesis(brief, target_count, label_plan, self.quality_threshold, self.diversity_weight,
                                    encode=self._encode)  # fmt: skip
        self._analysis = analyse(self._seeds, self._names, self._encode)
        recording = Recording(self._recording)
        try:
            teacher = self._teacher or opened(self._ref, recording, say=self._say)
            self._written = generate(brief, self._synthesis.plan(self._seeds), self._seeds, self._analysis, teacher,
                                     Ledger(*self._ceilings), self._say)  # fmt: skip
            self._note = teacher.note
        finally:
            recording.close()
        return self._dataset(self._written.candidates)

    def filter(
        self, dataset: Any = None, *, evaluation: Mapping[str, Any] | None = None, want: int | None = None
    ) -> Any:
        """Keep what passes the tests.

        Args:
            dataset: what `generate` returned, or a part of it; None: all of it.
            evaluation: evaluation split -> its rows: nothing of them may be in the result.
            want: how many are to stay at most; None: all that pass.

        Returns:
            A `datasets.Dataset`; `rejected` has the others.

        Raises:
            RunError: E-usage before `generate`.
        """
        if self._written is None:
            remedy = "call generate first: the tests compare with its seeds"
            raise RunError(Diagnostic(code="E-usage", message="there is nothing to filter yet", remedy=remedy))
        brief = self._synthesis.brief
        held = {
            split: [joined({name: row[name] for name in brief.fields}) for row in rows]
            for split, rows in (evaluation or {}).items()
        }
        self._synthesis.evaluation, self._synthesis.want = held, want
        written = self._written if dataset is None else self._only(dataset)
        self.result = self._synthesis.filtered(self._seeds, self._analysis, written, self._note)
        return self._dataset([one.candidate for one in self.result.kept], [one.quality for one in self.result.kept])

    def _only(self, dataset: Any) -> Generated:
        """What of the written examples is in a data set."""
        assert self._written is not None
        wanted = {(row["call"], row["place"]) for row in dataset}
        kept = tuple(one for one in self._written.candidates if (one.call, one.place) in wanted)
        return Generated(kept, self._written.stopped, self._written.ledger, self._written.novelty)

    def _dataset(self, rows: Sequence[Candidate], quality: Sequence[float] | None = None) -> Any:
        from datasets import Dataset

        fields = self._synthesis.brief.fields
        columns: dict[str, list[Any]] = {name: [row.fields.get(name, "") for row in rows] for name in fields}
        columns[self._label] = [self._names[row.label] for row in rows]
        columns |= {name: [getattr(row, name) for row in rows] for name in PROVENANCE if name != "attributes"}
        columns["attributes"] = ["; ".join(f"{k}: {v}" for k, v in row.attributes.items()) for row in rows]
        if quality is not None:
            columns["quality"] = list(quality)
        return Dataset.from_dict(columns)


def label_names(rows: Any, column: str) -> tuple[str, ...]:
    """The labels of a data set, sorted, or in the order of its features."""
    feature = getattr(rows, "features", {}).get(column)
    names = getattr(feature, "names", None)
    return tuple(names) if names else tuple(sorted({str(row[column]) for row in rows}))


def seeds_of(rows: Any, fields: Sequence[str], label: str, names: Sequence[str]) -> list[Seed]:
    """Rows as seeds."""
    places = {name: place for place, name in enumerate(names)}
    by_index = bool(getattr(getattr(rows, "features", {}).get(label), "names", None))
    return [
        Seed(
            fields={name: str(row[name]) for name in fields},
            label=int(row[label]) if by_index else places[str(row[label])],
        )
        for row in rows
    ]
