"""One shape for everything that can be said against a spec, a plan or a run.

Every fault carries a stable code, a JSON pointer into what the user wrote, the line and column where that is
known, and fixes as RFC 6902 patches. The codes and their meaning are one table, so that none can be forgotten.

Errors:
    FewtuneError                 everything that fewtune raises on purpose
    +-- SpecError                the document cannot be used (exit status 3)
    +-- PlanError                no plan for this spec and these facts (3), or a stale plan (4)
    +-- StoreError               the workspace is busy (8), unreadable or too new (15)
    +-- RunError                 the run could not start or go on (11)
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from fewtune.specs.frozen import Frozen

Severity = Literal["error", "warning", "note"]

CODES: dict[str, str] = {
    "E-syntax": "the document is not valid TOML or JSON",
    "E-encoding": "the document is not clean UTF-8 text",
    "E-too-large": "the document, a line or a number in it is longer than the language allows",
    "E-too-deep": "the document is nested deeper than the language allows",
    "E-duplicate-key": "the same key is given twice",
    "E-number": "a number is not finite or has too many digits",
    "E-not-a-table": "the document's root is not a table of keys",
    "E-value-type": "a value has a type that the language does not know (dates, times)",
    "E-version": "the spec is written for another version of the language",
    "E-unknown-key": "a key that the language does not have",
    "E-missing": "a required key is missing",
    "E-value": "a value has the wrong type, is out of range or is not one of the allowed words",
    "E-conflict": "two values contradict each other",
    "E-secret": "a text looks like an access token or a password, which a spec must not hold",
    "E-not-yet": "a capability of a later version of fewtune",
    "E-path": "a path leaves the folders that may be read, or is not a regular file",
    "E-file-missing": "a file that the spec names does not exist",
    "E-file-unreadable": "a data file cannot be read as its format",
    "E-column": "a column that the data do not have",
    "E-label-missing": "rows without a label where labels are needed",
    "E-label-unknown": "an evaluation split has a label that the training data do not have",
    "E-text-missing": "rows without text",
    "E-too-few-rows": "fewer labelled rows than the label budget or the folds need",
    "E-one-class": "the training data have fewer than two labels",
    "E-validation-empty": "the validation part would be empty or a single row",
    "E-validation-is-test": "the validation rows are test rows: arms would be chosen by what reports them",
    "E-warmup": "the warm-up is as long as the training",
    "E-target-truncated": "the pattern and its label do not fit into the sequence length",
    "E-pattern": "a pattern names a field that the data do not have, or misses one that it needs",
    "E-verbalizer": "label words that the model cannot tell apart at their first token",
    "E-verbalizer-tokens": "a label word that is more than one token of this model",
    "E-memory": "no arm fits into the memory",
    "E-budget": "the baselines and one arm do not fit into the budget",
    "E-too-many-trials": "the spec asks for more arms or trials than it may",
    "E-no-arm": "no arm is left",
    "E-no-effect": "a setting that cannot have an effect here",
    "E-ood-missing": "out-of-domain evaluation is required but no such split is given",
    "E-facts-missing": "facts about the model or the data are missing: run pull",
    "E-model": "the model's folder is incomplete, of an unknown architecture or unsafe",
    "E-hash": "a downloaded or converted file is not what was promised",
    "E-download": "a file could not be fetched",
    "E-plan-stale": "the plan no longer follows from its spec and the present facts",
    "E-plan-edited": "the plan file was changed or cut",
    "E-busy": "another process writes to this workspace",
    "E-journal": "the journal is damaged",
    "E-store-too-new": "the workspace was written by a newer fewtune",
    "E-store-full": "the disk is full",
    "E-store-unwritable": "the workspace cannot be written to",
    "E-artefact": "a file that a run left is missing, damaged or of another version",
    "E-results": "the published results cannot be opened or made",
    "E-nothing-to-show": "no run has results here yet",
    "E-not-found": "no such run, arm, pointer or topic",
    "E-sql": "the query cannot be run",
    "E-training-missing": "the libraries for training are not installed",
    "E-run": "the run could not go on",
    "E-teacher": "the teacher model cannot be asked, or does not answer",
    "E-not-recorded": "a replayed teacher is asked something that was never recorded",
    "E-recording": "a recording of teacher calls is damaged",
    "E-interrupted": "the run was interrupted; what is finished is kept",
    "E-policy": "the operator's policy does not allow it",
    "E-approval": "it needs the operator's word at the terminal",
    "E-ceiling": "the run reached a ceiling that it was admitted with",
    "E-usage": "the command line is not complete",
    "E-io": "a file could not be read or written",
    "W-one-ood": "one out-of-domain split does not foretell another",
    "W-single-seed": "one data seed says nothing about the spread over samples",
    "W-duplicate-rows": "the same text appears more than once",
    "W-duplicate-across-splits": "the same text is in two splits that should be apart",
    "W-label-conflict": "the same text carries two labels",
    "W-truncated": "texts are longer than the sequence length and are cut",
    "W-small-test": "few evaluation items: only large differences can be seen",
    "W-imbalanced": "one label is much more frequent: accuracy misleads",
    "W-pin-against-evidence": "a pinned value that strong evidence speaks against",
    "W-cut": "something was left out to stay within a limit",
    "W-no-gpu-limit": "a limit on GPUs, and no GPU",
    "W-rare-label": "a label with very few rows",
    "W-first-token": "a label word is recognised by its first token",
    "W-weak-model": "published runs of this kind of model on this kind of task do not beat the majority class",
    "W-label-noise": "so many wrong labels that they say less than chance",
    "W-looks": "many plans have shown scores on this split: the best of them is too high",
    "W-not-augmented": "synthetic examples are asked for, and no arm learns from them",
    "W-overrun": "the run took longer than its limit",
}
"""Every code, with its meaning; a test compares this table with the codes that the sources use."""
OF_THE_WHOLE = ("E-budget", "E-memory", "E-too-many-trials", "E-too-few-rows", "E-validation-empty", "E-no-arm")
"""Codes about everything together: not told where parts of a spec were left out."""


class Patch(Frozen):
    """One operation of RFC 6902."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    op: Literal["add", "remove", "replace", "move", "test"]
    path: str
    value: Any = None
    from_: str | None = Field(default=None, alias="from")


class Edit(Frozen):
    """Other characters in the place of some of the submitted text; what stands there now is its guard."""

    line: int
    column: int
    """Of the first character, both from 1."""
    removed: str
    inserted: str


class Fix(Frozen):
    """A change that removes the fault; it was applied and checked before it is offered."""

    title: str
    applicability: Literal["safe", "likely", "choose"]
    """safe: the same in other words. likely: what was most likely meant, and nothing that was written and can stand
    there is lost. choose: it takes such a thing away, or is one of several ways: somebody has to say so."""
    patches: tuple[Patch, ...] = ()
    edits: tuple[Edit, ...] = ()
    """Of the text, where it cannot be read as a document; they come before all patches."""


class Diagnostic(Frozen):
    """One finding."""

    code: str
    severity: Severity = "error"
    message: str
    pointer: str = ""
    """JSON pointer into the submitted document; the existing parent where something is missing."""
    line: int | None = None
    column: int | None = None
    expected: str | None = None
    got: str | None = None
    nearest: str | None = None
    remedy: str | None = None
    fixes: tuple[Fix, ...] = ()

    def located(self, line: int | None, column: int | None) -> "Diagnostic":
        """The same finding with its place in the text."""
        return self.model_copy(update={"line": line, "column": column})


class FewtuneError(Exception):
    """The root of everything fewtune raises on purpose.

    Attributes:
        diagnostics: what is wrong, the errors first; never empty.
        exit_status: what the command line ends with.
    """

    exit_status = 1

    def __init__(self, diagnostics: Sequence[Diagnostic] | Diagnostic, *, exit_status: int | None = None) -> None:
        """Take the findings, and an exit status where it is not the class's own."""
        findings = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        self.diagnostics = tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
        if exit_status is not None:
            self.exit_status = exit_status
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))


class SpecError(FewtuneError):
    """The document cannot be used."""

    exit_status = 3


class PlanError(FewtuneError):
    """There is no plan for this spec and these facts, or the plan no longer holds."""

    exit_status = 3


class StoreError(FewtuneError):
    """The workspace cannot be read or written now."""

    exit_status = 8


class RunError(FewtuneError):
    """The run could not start or go on."""

    exit_status = 11
