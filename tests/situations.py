"""Specs and facts without files: what the compiler sees of data, models and devices that nobody has to have."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, cycle, islice, repeat
from typing import Any

from fewtune.compiler.adopted import Adopted, Behind, Win
from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.encoder import EMBEDDED
from fewtune.compiler.facts import DataFacts, DeviceFacts, Facts, Linear, ModelFacts, SplitFacts
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.plan import Compiled
from fewtune.compiler.wording import candidate_patterns, candidate_words, fields, fixed_text, word_forms
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import MethodName
from fewtune.specs.task import OPTIONAL, Marks


def _linears(count: int, **shapes: tuple[int, int]) -> tuple[Linear, ...]:
    return tuple(Linear(name=name, d_in=d_in, d_out=d_out, count=count) for name, (d_in, d_out) in shapes.items())


def _llama(place: str, hidden: int, layers: int, kv: int, wide: int, **more: Any) -> ModelFacts:
    """A network of the Llama family: attention with `kv` key dimensions and a gated feed-forward layer."""
    linears = _linears(
        layers, q_proj=(hidden, hidden), k_proj=(hidden, kv), v_proj=(hidden, kv), o_proj=(hidden, hidden),
        gate_proj=(hidden, wide), up_proj=(hidden, wide), down_proj=(wide, hidden),
    )  # fmt: skip
    return ModelFacts(
        place=place, architecture="llama", weights_hash=fingerprint("weights", place), word_tokens={},
        tokenizer_hash=fingerprint("tokenizer", place), hidden=hidden, layers=layers, intermediate=wide,
        linears=linears, pattern_tokens={}, **more,
    )  # fmt: skip


def _opt(place: str, hidden: int, layers: int, embedding: int, extra: int) -> ModelFacts:
    """An OPT network; `embedding` is the width of its token table, `extra` what else it has (projections, norms)."""
    linears = _linears(
        layers, q_proj=(hidden, hidden), k_proj=(hidden, hidden), v_proj=(hidden, hidden), out_proj=(hidden, hidden),
        fc1=(hidden, 4 * hidden), fc2=(4 * hidden, hidden),
    )  # fmt: skip
    embeddings = 50272 * embedding + 2050 * hidden
    parameters = embeddings + sum(linear.d_in * linear.d_out * linear.count for linear in linears) + extra
    return ModelFacts(
        place=place, source="hub", revision="main", architecture="opt", weights_hash=fingerprint("weights", place),
        tokenizer_hash=fingerprint("tokenizer", place), parameters=parameters, embedding_parameters=embeddings,
        hidden=hidden, layers=layers, heads=hidden // 64, kv_heads=hidden // 64, intermediate=4 * hidden,
        vocabulary=50272, max_positions=2048, tied=True, instruct=False, linears=linears, stored_bytes=2 * parameters,
        end_tokens=(2,),
        word_tokens={}, pattern_tokens={},
    )  # fmt: skip


SMALL = _llama(
    "smollm2-135m-instruct", 576, 30, 192, 1536, source="embedded", parameters=134_515_008, norms=35_136,
    embedding_parameters=28_311_552, heads=9, kv_heads=3, vocabulary=49_152, max_positions=8192, tied=True,
    instruct=True, stored_bytes=269_030_016, chat="chatml", end_tokens=(2,),
)  # fmt: skip
LLAMA_7B = _llama(
    "meta-llama/Llama-2-7b-hf", 4096, 32, 4096, 11008, source="hub", revision="main", parameters=6_738_415_616,
    embedding_parameters=131_072_000, heads=32, kv_heads=32, vocabulary=32_000, max_positions=4096, tied=False,
    instruct=False, stored_bytes=13_476_831_232, end_tokens=(2,),
)  # fmt: skip
LLAMA_70B = _llama(
    "meta-llama/Llama-2-70b-hf", 8192, 80, 1024, 28672, source="hub", revision="main", parameters=68_976_648_192,
    embedding_parameters=262_144_000, heads=64, kv_heads=8, vocabulary=32_000, max_positions=4096, tied=False,
    instruct=False, stored_bytes=137_953_296_384, end_tokens=(2,),
)  # fmt: skip
OPT_125M = _opt("facebook/opt-125m", 768, 12, 768, extra=12 * 9984 + 1536)
OPT_350M = _opt("facebook/opt-350m", 1024, 24, 512, extra=24 * 13312 + 2 * 512 * 1024)

LLAMA_ENDLESS = LLAMA_7B.model_copy(update={"end_tokens": ()})
"""It names no token that ends a text."""

MODELS = {
    "small": SMALL, "llama-7b": LLAMA_7B, "llama-70b": LLAMA_70B, "llama-endless": LLAMA_ENDLESS,
    "opt-125m": OPT_125M, "opt-350m": OPT_350M,
}  # fmt: skip

CPU = DeviceFacts(kind="cpu", name="cpu amx-bf16", count=1, cores=2, memory_gib=16, bf16=True)
OLD_CPU = DeviceFacts(kind="cpu", name="cpu avx2", count=1, cores=4, memory_gib=16, bf16=False)
H100 = DeviceFacts(kind="cuda", name="NVIDIA H100 80GB HBM3", count=1, cores=16, memory_gib=80, bf16=True)
T4 = DeviceFacts(kind="cuda", name="Tesla T4", count=1, cores=4, memory_gib=15, bf16=False)

DEVICES = {"cpu": CPU, "old-cpu": OLD_CPU, "h100": H100, "t4": T4}

TEN_THOUSAND: dict[str, Any] = {
    "data": {"label_budget": 64},
    "methods": {"arms": [
        {"method": "pattern+lora", "rank": list(range(1, 51)), "learning_rate": [1e-4, 2e-4, 5e-4, 1e-3]}
    ]},
    "evaluation": {"data_seeds": 50},
}  # fmt: skip
"""Tables of a spec with so many trials, for 400 rows."""

NAMES = ("billing", "delivery", "refund", "account", "privacy", "warranty")
"""Labels, as many as are asked for; a number follows where these run out."""


def label_names(count: int) -> tuple[str, ...]:
    """The first labels."""
    return tuple(islice(chain(NAMES, (f"topic {index}" for index in range(count))), count))


def document(**tables: Any) -> dict[str, Any]:
    """A spec: classification of train.csv with a test split; `data={"test": None}` takes the test split away."""
    tree: dict[str, Any] = {
        "spec_version": 1,
        "task": {"type": "classification"},
        "data": {"train": "train.csv", "test": "test.csv"},
    }
    for name, given in tables.items():
        table = {**tree.get(name, {}), **given} if isinstance(given, Mapping) else given
        if isinstance(table, dict):
            table = {key: value for key, value in table.items() if value is not None}
        tree[name] = table
    return tree


def experiment(**tables: Any) -> Experiment:
    """The checked form of `document(**tables)`."""
    return Experiment.model_validate(document(**tables))


def split(
    name: str,
    rows: int,
    *,
    labels: int = 2,
    counts: Sequence[int] | None = None,
    tokens: int | Sequence[int] = 20,
    target_tokens: int | Sequence[int] = (),
) -> SplitFacts:
    """A split of different texts: labels in turn, or `counts` of each in blocks; targets of so many tokens, if any."""
    in_turn = islice(cycle(range(labels)), rows)
    in_blocks = chain.from_iterable(repeat(label, count) for label, count in enumerate(counts or ()))
    keys = tuple(fingerprint("text", f"{name} {row}")[:16] for row in range(rows))
    lengths = (tokens,) if isinstance(tokens, int) else tuple(tokens)
    written = (target_tokens,) if isinstance(target_tokens, int) else tuple(target_tokens)
    targets: dict[str, Any] = {}
    if written:
        targets = {"targets": keys, "target_tokens": tuple(islice(cycle(written), len(keys)))}
    return SplitFacts(
        name=name, place=f"{name}.csv", text_keys=keys, groups=keys, labels=tuple(in_blocks if counts else in_turn),
        tokens=tuple(islice(cycle(lengths), len(keys))), **targets,
    )  # fmt: skip


def facts(
    spec: Experiment | None = None,
    *,
    n_rows: int = 240,
    labels: int | Sequence[str] = 4,
    counts: Sequence[int] | None = None,
    tokens: int | Sequence[int] = 20,
    target_tokens: int | Sequence[int] = 12,
    multiline_targets: int = 0,
    context: bool = True,
    test_rows: int = 200,
    validation_rows: int = 0,
    ood: Mapping[str, int] | None = None,
    unlabelled_rows: int = 0,
    replay_rows: int = 0,
    device: DeviceFacts | str = CPU,
    model: ModelFacts | str = SMALL,
    encoder: str | None = None,
    words: Mapping[str, Sequence[int]] | None = None,
    blurred: bool = False,
    signals: bool = False,
    wins: Sequence[Mapping[str, Any]] = (),
) -> Facts:
    """Deterministic facts.

    Args:
        spec: what names task, words and patterns; omitted: a plain classification.
        n_rows: rows of the train split; `counts` gives them for each label instead.
        labels: how many labels, or their names.
        counts: rows of each label, in blocks.
        tokens: tokens of the texts, repeated in turn.
        target_tokens: the same of the targets, where the task has them.
        multiline_targets: so many of the training targets have several lines.
        context: whether questions have one.
        test_rows: 0: no test split, so cross-validation.
        validation_rows: 0: no validation split.
        ood: name -> rows.
        unlabelled_rows: 0: no such split.
        replay_rows: the same of general texts.
        device: the device or its key in `DEVICES`.
        model: the model or its key in `MODELS`.
        encoder: name of an encoder of its own, which has the embedded one's shape.
        words: token ids of words that are not one token of their own.
        signals: whether texts are judged one by one, where the task is a preference.
        blurred: whether the labels' names begin with the same token, however they are spelt.
        wins: adopted evidence of classifications on the small model: n, arm, method and the arm behind it.
    """
    spec = spec or experiment()
    writes = spec.task.writes
    names = () if writes else label_names(labels) if isinstance(labels, int) else tuple(labels)
    kind = spec.task.marks
    how: dict[str, Any] = {
        "labels": len(names) or 1,
        "tokens": tokens,
        "target_tokens": target_tokens if writes else (),
    }
    train = split("train", sum(counts) if counts else n_rows, counts=counts, **how)
    train = train.model_copy(update={"multiline_targets": multiline_targets})
    sizes = {"test": test_rows, "validation": validation_rows, "unlabelled": unlabelled_rows,
             "replay": replay_rows, **(ood or {})}  # fmt: skip
    others = {name: split(name, rows, **how) for name, rows in sizes.items() if rows}
    for name in ("unlabelled", "replay"):
        if name in others:
            others[name] = others[name].model_copy(update={"labels": (-1,) * sizes[name]})
    if kind is not None:
        train, others = with_marks(train, kind), {name: with_marks(one, kind) for name, one in others.items()}
    if kind == "tags":
        names = ("O", *(f"{prefix}-{name}" for name in names for prefix in "BI"))
    pattern_fields = tuple(name for name in fields(spec) if context or name not in OPTIONAL)
    columns = {name: name for name in (*pattern_fields, spec.task.answer)}
    if spec.task.prefers:
        beside = "label" if signals else "rejected"
        columns |= {beside: beside}
    shared = {form: (7, row) for row, name in enumerate(names) for form in word_forms(name)} if blurred else {}
    return Facts(
        data=DataFacts(fields=pattern_fields, columns=columns, labels=names, splits={"train": train, **others}),
        model=measured(MODELS[model] if isinstance(model, str) else model, spec, names, {**shared, **(words or {})}),
        encoder=EMBEDDED.model_copy(update={"place": encoder, "weights_hash": encoder}) if encoder else None,
        device=DEVICES[device] if isinstance(device, str) else device,
        adopted=Adopted(wins=tuple(map(win, wins))),
    )


def with_marks(split: SplitFacts, kind: Marks) -> SplitFacts:
    """The split with its labels as sets of one, or as two words of which the second one is a span."""
    marks = tuple((label,) if kind == "set" else (0, 1 + 2 * label) for label in split.labels if label >= 0)
    return split.model_copy(update={"marks": marks, "labels": tuple(min(label, 0) for label in split.labels)})


BEHIND: dict[str, MethodName] = {
    "majority": "majority", "zero-shot": "zero-shot", "pattern + LoRA r=8": "pattern+lora",
    "head + LoRA r=8": "head+lora", "pattern + full": "pattern+full",
    "sentence encoder + logistic regression": "encoder",
}  # fmt: skip


def win(given: Mapping[str, Any]) -> Win:
    """An arm that was ahead of another by 0.2."""
    method = BEHIND[given["behind"]]
    behind = Behind(arm=given["behind"], method=method, difference=0.2, low=0.1, high=0.3)
    return Win(
        experiment="earlier", task="classification", model=SMALL.weights_hash, metric="accuracy", mean=0.8, seeds=5,
        items=200, **{**given, "behind": (behind,)},
    )  # fmt: skip


def measured(
    model: ModelFacts, spec: Experiment, labels: tuple[str, ...], words: Mapping[str, Sequence[int]]
) -> ModelFacts:
    """The model with the tokens of every word and pattern that may be asked for: a token for each word of text."""
    candidates = dict.fromkeys((*candidate_words(spec, labels), *words))
    ids: dict[str, tuple[int, ...]] = {word: (1000 + index,) for index, word in enumerate(candidates)}
    ids |= {word: tuple(given) for word, given in words.items()}
    lengths = {pattern: len(fixed_text(pattern, labels).split()) + 1 for pattern in candidate_patterns(spec, labels)}
    return model.model_copy(update={"word_tokens": ids, "pattern_tokens": lengths})


def with_split(facts: Facts, name: str, **changes: Any) -> Facts:
    """The same facts with other values in one split."""
    changed = facts.data.splits[name].model_copy(update=changes)
    # model_copy keeps what was computed from the old values; a fresh value does not.
    fresh = SplitFacts.model_validate(changed.model_dump(include=set(SplitFacts.model_fields)))
    return with_splits(facts, {**facts.data.splits, name: fresh})


def with_splits(facts: Facts, splits: Mapping[str, SplitFacts]) -> Facts:
    """The same facts with these splits instead."""
    data = facts.data.model_copy(update={"splits": dict(splits)})
    return Facts(data=data, model=facts.model, device=facts.device, weather=facts.weather, adopted=facts.adopted)


def with_model(facts: Facts, **changes: Any) -> Facts:
    """The same facts with another value about the model."""
    model = facts.model.model_copy(update=changes)
    return Facts(data=facts.data, model=model, device=facts.device, adopted=facts.adopted)


def relabelled(facts: Facts, row: int, label: int) -> Facts:
    """The same facts with another label of one training row."""
    labels = list(facts.data.train.labels)
    labels[row] = label
    return with_split(facts, "train", labels=tuple(labels))


def twins(facts: Facts, name: str, pairs: Mapping[int, int]) -> Facts:
    """The same facts where row `key` of a split repeats the text of row `value`."""
    keys = list(facts.data.splits[name].text_keys)
    for row, original in pairs.items():
        keys[row] = keys[original]
    return with_split(facts, name, text_keys=tuple(keys), groups=tuple(keys))


def compiled(tables: Mapping[str, Any] | None = None, **parameters: Any) -> Compiled:
    """The plan of `experiment(**tables)` and `facts(**parameters)`; both are JSON values, and plans are kept."""
    return _compiled(json.dumps([tables or {}, parameters]))


@lru_cache(maxsize=64)
def _compiled(situation: str) -> Compiled:
    tables, parameters = json.loads(situation)
    asked = experiment(**tables)
    return compile_plan(asked, facts(asked, **parameters))


def faults(tables: Mapping[str, Any] | None = None, **parameters: Any) -> tuple[Diagnostic, ...]:
    """Everything that is said against the plan of `experiment(**tables)` and `facts(**parameters)`."""
    return _faults(json.dumps([tables or {}, parameters]))


@lru_cache(maxsize=256)
def _faults(situation: str) -> tuple[Diagnostic, ...]:
    tables, parameters = json.loads(situation)
    asked = experiment(**tables)
    return found(asked, facts(asked, **parameters))


def codes(tables: Mapping[str, Any] | None = None, **parameters: Any) -> set[str]:
    """Codes of everything that is said, whether there is a plan or not."""
    return {one.code for one in faults(tables, **parameters)}


def found(asked: Experiment, given: Facts) -> tuple[Diagnostic, ...]:
    """Everything that is said against the plan of a spec and facts."""
    try:
        return compile_plan(asked, given).plan.warnings
    except PlanError as error:
        return error.diagnostics


def said(asked: Experiment, given: Facts) -> set[str]:
    """Codes of everything that is said against the plan of a spec and facts."""
    return {one.code for one in found(asked, given)}


SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fixed schedule": ({"data": {"label_budget": 32}}, {}),
    "held out": ({"data": {"label_budget": 160}}, {}),
    "validation split": ({"data": {"label_budget": 32, "validation": "v.csv"}}, {"validation_rows": 40}),
    "learning curve": ({"data": {"label_budget": [16, 32, 160]}}, {}),
    "out of domain": ({"data": {"label_budget": 32, "ood": {"blogs": "b.csv"}}}, {"ood": {"blogs": 60, "mail": 30}}),
    "cross-validation": ({"data": {"test": None}}, {"test_rows": 0, "n_rows": 60}),
    "cross-validation, held out": (
        {"data": {"test": None}, "evaluation": {"validation": "held-out"}},
        {"test_rows": 0, "n_rows": 60, "ood": {"blogs": 30}},
    ),
    "model seeds": ({"data": {"label_budget": 32}, "evaluation": {"model_seeds": 2, "data_seeds": 3}}, {}),
    "arms written out": (
        {"methods": {"arms": [{"method": "head+full", "steps": [10, 20]}, {"method": "in-context"}]}},
        {},
    ),
    "summaries": ({"task": {"type": "summarisation"}, "data": {"label_budget": 32}}, {}),
    "answers, held out": ({"task": {"type": "question-answering"}, "data": {"label_budget": 160}}, {}),
    "texts, cross-validation": (
        {"task": {"type": "generation"}, "data": {"test": None}},
        {"test_rows": 0, "n_rows": 60},
    ),
    "pairs": ({"task": {"type": "preference"}, "data": {"label_budget": 40}}, {}),
    "judged texts, held out": (
        {"task": {"type": "preference"}, "data": {"label_budget": 160}},
        {"signals": True},
    ),
    "tuned encoders": (
        {"data": {"label_budget": 32}, "methods": {"arms": [{"method": "setfit"}, {"method": "setfit+lora"}]}},
        {},
    ),
    "an encoder of its own": (
        {"data": {"label_budget": 160}, "model": {"encoder": "org/tiny"}, "methods": {"include": ["encoder+full"]}},
        {"encoder": "org/tiny"},
    ),
    "baselines only": (
        {"methods": {"exclude": ["pattern+lora", "pattern+full", "head+lora", "head+full"]}},
        {},
    ),
}
"""Tables and parameters of facts that give plans of different shapes."""
