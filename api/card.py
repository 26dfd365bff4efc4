"""The model card of an exported model: data, plan, interval, limits, and how to use it."""

from pathlib import Path

from fewtune.api.answers import Results, results
from fewtune.compiler.arm import Lora, PreferenceLoss
from fewtune.compiler.encoder import EMBEDDED
from fewtune.runtime.chosen import Chosen
from fewtune.specs.diagnostic import StoreError
from fewtune.specs.model import EMBEDDED as EMBEDDED_MODEL
from fewtune.store.reader import LeaderboardRow

PREFERS = "The score says which of two given texts it finds likelier, not how good the texts are that it writes."
WRITES = "What it writes can be wrong, and it does not say so: the score measures words shared with targets, not truth."


def model_card(workspace: Path, model: Chosen, *, merged: bool, precision: str, agreement: str) -> str:
    """The card as Markdown."""
    plan = model.plan
    try:
        found: Results | None = results(workspace, model.run.started.experiment)
    except StoreError:
        found = None
    sections = [
        _front_matter(model, merged),
        f"# {plan.experiment_name}: {model.arm.name}\n",
        _what(model, merged, precision),
        "## Score\n\n" + _score(model, found),
        "## Data\n\n" + _data(model),
        "## How it was made\n\n" + _recipe(model),
        "## Use\n\n" + _use(model, merged),
        "## Limits\n\n" + _limits(model, agreement),
    ]
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def _base(model: Chosen) -> tuple[str, str]:
    """(name, hash of the weights) of what was tuned."""
    facts = model.plan.facts
    if not model.arm.encoded:
        return facts.model, facts.model_hash
    return model.plan.experiment.model.encoder_place, facts.encoder_hash or EMBEDDED.weights_hash


def _front_matter(model: Chosen, merged: bool) -> str:
    library = "sentence-transformers" if model.arm.encoded else "transformers" if merged else "peft"
    tags = model.plan.experiment.task.marks == "tags"
    tag = "token-classification" if tags else "text-classification" if model.plan.labels else "text-generation"
    return f"---\nlibrary_name: {library}\nbase_model: {_base(model)[0]}\npipeline_tag: {tag}\n---"


def _what(model: Chosen, merged: bool, precision: str) -> str:
    plan = model.plan
    kind = f"the whole model, merged, in {precision}" if merged else "a LoRA adapter in peft's format"
    four_bit = ""
    if model.arm.four_bit:
        four_bit = " The adapter was trained on the base in four bits (nf4, double quantisation)" + (
            " and is merged into these weights, dequantised: this model takes as much memory as one in "
            f"{precision}, and is not the published base plus an adapter."
            if merged
            else "; `predict.py` loads it so. On the base as it is, predictions differ."
        )
    labels = ", ".join(f"`{label}`" for label in plan.labels)
    answers = f" with {len(plan.labels)} labels ({labels})" if plan.labels else ""
    base, weights = _base(model)
    return (
        f"A {plan.experiment.task.type} model{answers}, as {kind}. Base model: `{base}`, weights `{weights}`.{four_bit}"
    )


def _score(model: Chosen, found: Results | None) -> str:
    own = next((row for row in found.board if row.arm == model.arm.name), None) if found else None
    if found is None or own is None:
        return "No complete score is known."
    said = [f"{_row(own)} on {_where(own)}. {_meaning(model, own)}"]
    best = next((row.arm for row in found.board if row.chosen), own.arm)
    if best != own.arm:
        said.append(f"The run chose {best}; this arm was exported by its name.")
    if found.verdict is not None:
        said.append(found.verdict.sentence)
    rows = [f"| {row.arm} | {row.mean:.3f} | {row.ci_low:.3f} to {row.ci_high:.3f} |" for row in found.board]
    return "\n\n".join(said) + f"\n\n| arm | {own.metric} | interval |\n| --- | --- | --- |\n" + "\n".join(rows)


def _meaning(model: Chosen, own: LeaderboardRow) -> str:
    """What the score is of: not of this very model."""
    if own.split == "cv":
        return (
            f"This is the arm's estimate: each row was scored by models that never saw it, trained on {_fold(model)} "
            f"labels; this model was trained on all {own.n} and was not scored itself. All seeds share these rows, so "
            "the spread over other samples may be wider."
        )
    return (
        "This is the arm's estimate: models like this one, trained on other samples of the same size and scored on "
        f"other items, are expected there. This model was trained on {own.n} labels; its own score is one of those, "
        "or was not taken."
    )


def _fold(model: Chosen) -> int:
    """Labels that a fold's model was trained on."""
    level = model.plan.levels[-1]
    return level.train + (level.validation if level.scheme != "validation-split" else 0)


def _row(row: LeaderboardRow) -> str:
    return f"{row.metric} {row.mean:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]"


def _where(row: LeaderboardRow) -> str:
    place = "cross-validated rows" if row.split == "cv" else f"the {row.split} split"
    return f"{row.items} items of {place}, {row.seeds} seed{'' if row.seeds == 1 else 's'}"


def _data(model: Chosen) -> str:
    facts = model.plan.facts
    counted, used = "Targets used: ", "Labelled texts used" if model.plan.experiment.task.marks else "Labels used"
    if model.plan.experiment.task.prefers:
        counted = "Pairs used: " if "rejected" in facts.columns else "Judged texts used: "
    rows = ", ".join(f"{name}: {count}" for name, count in facts.rows.items())
    labels = ", ".join(f"{name}: {count}" for name, count in facts.labels.items())
    return (
        f"Source of the training rows: `{model.plan.experiment.data.train.place}`. Rows by split: {rows}. "
        + (f"Training pool by label: {labels}. {used}: " if labels else counted)
        + f"{model.plan.final_n}.{_synthetic(model)}"
    )


def _synthetic(model: Chosen) -> str:
    """What stood beside the labelled texts."""
    made, asked = model.arm.augmentation, model.plan.experiment.augmentation
    if made is None or asked is None:
        return ""
    if made.source == "eda":
        return " Beside them stood changed copies of them (words replaced, put in, swapped, left out)."
    writer = f", `{asked.teacher.model}`" if asked.teacher else ""
    return f" Beside them stood texts that another model{writer} wrote after them, as far as a filter let them pass."


def _recipe(model: Chosen) -> str:
    arm = model.arm
    recipe = arm.recipe(model.plan.final_n)
    lora = _geometry(arm.lora) if arm.lora else ""
    said = model.wording
    pattern = f"\n\nPattern:\n\n```\n{said.pattern}\n```" if said.pattern else ""
    words = ""
    if arm.formulation == "pattern" and said.verbalizer:
        words = "\n\nLabel words: " + ", ".join(f"{k} = `{v}`" for k, v in said.verbalizer.words.items())
    return (
        f"{lora}{_loss(arm.preference)}"
        f"{recipe.steps} steps of {recipe.batch_size}, AdamW, learning rate {recipe.learning_rate:g} "
        f"({recipe.schedule}, {recipe.warmup_steps} warm-up steps), inputs of at most {arm.max_tokens} tokens, base in "
        f"{arm.precision}. Plan `{model.plan.hash}`, run `{model.run.id}`.{pattern}{words}"
    )


def _loss(preference: PreferenceLoss | None) -> str:
    if preference is None:
        return ""
    settings = preference.model_dump(exclude={"kind"}, exclude_defaults=True)
    shown = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in settings.items())
    return f"preferences by {preference.kind.upper()} ({shown}); "


def _geometry(lora: Lora) -> str:
    scaling = "rank-stabilised, " if lora.rslora else ""
    return f"LoRA r = {lora.rank}, alpha = {lora.alpha:g}, {scaling}on {', '.join(lora.targets)}; "


def _use(model: Chosen, merged: bool) -> str:
    needs = "transformers" if merged else "transformers and peft"
    if model.arm.four_bit and not merged:
        needs = "transformers, peft and bitsandbytes"
    base = "" if merged else " [folder or name of the base model]"
    fields = ", ".join(f'"{field}": "..."' for field in model.plan.facts.fields)
    return f"`predict.py` needs only {needs}:\n\n```\necho '{{{fields}}}' | python predict.py{base}\n```"


def _said_of_scores(model: Chosen) -> str:
    if model.plan.experiment.task.prefers:
        return PREFERS
    if model.plan.experiment.task.marks == "tags":
        return "A tag is read out at the last token of its word; the model does not see what stands behind it."
    return "The probabilities are not calibrated." if model.plan.labels else WRITES


def _limits(model: Chosen, agreement: str) -> str:
    said = [
        f"Trained on {model.plan.final_n} labelled texts; other sources, lengths and languages were not tested.",
        _said_of_scores(model),
        "`predict.py` computes in fp32; `fewtune predict` computes as trained "
        f"({model.arm.precision}) unless told otherwise. {agreement}".rstrip(),
    ]
    if model.plan.facts.model == EMBEDDED_MODEL and not model.arm.encoded:
        said.append(
            "The base is SmolLM2-135M-Instruct (Apache-2.0) dequantised from a Q4_1 file: its weights are not those of "
            "the published model, so the adapter belongs to exactly these weights."
            + (" What four bits cost cannot be read from it: they round once more." if model.arm.four_bit else "")
        )
    return "\n".join(f"- {line}" for line in said)
