"""Tuned encoders: read as transformers reads, trained as plain loops train, and the same in a new process."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plain_loop
import preloaded
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft_oracle import peft_names
from safetensors.torch import load as load_tensors
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny import LABELS, tiny_encoder
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel, PreTrainedTokenizerFast

from fewtune.compiler.arm import Arm, Lora, Recipe
from fewtune.compiler.plan import Flip
from fewtune.runtime.job import Corpus, Fit, Job, ModelRef, RowRef, Score
from fewtune.runtime.train import adaptation, contrast, encoder
from fewtune.runtime.train.adaptations import kind
from fewtune.runtime.train.encoder import EncoderBase, Rows
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.loop import Course, Example, Learner, Training, train
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.schedule import factor

SEED = 11
ARCHITECTURES = ("bert", "roberta", "deberta-v2")
LORA = Lora(rank=4, alpha=8.0, targets=("dense", "query", "value"))
DEBERTA = Lora(rank=4, alpha=8.0, targets=("dense", "query_proj", "value_proj"))
NOBODY = Pulse("job", lambda _: None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Architecture -> folder of a tiny encoder, made once."""
    return cache(lambda name: tiny_encoder(tmp_path_factory.mktemp(name), architecture=name))


def oracle(folder: Path) -> Any:
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    model.pooler = None
    return model


@pytest.fixture(scope="module")
def double(folders: Callable[[str], Path], corpus: Corpus) -> Callable[[str], EncoderBase]:
    """Architecture -> the encoder in fp64."""

    @cache
    def made(name: str) -> EncoderBase:
        separator = Rows(folders(name) / "tokenizer.json", corpus).separator
        return encoder.load(folders(name), "cpu", separator, torch.float64)

    return made


def work(formulation: str, moves: str, *, lora: Lora = LORA, **given: Any) -> Job:
    """A job over the toy corpus; what is no field of a recipe goes to fit or job."""
    usual: dict[str, Any] = {"n": 32, "steps": 10, "batch_size": 8, "micro_batch": 3, "learning_rate": 0.01,
                             "warmup_steps": 2, "weight_decay": 0.1}  # fmt: skip
    if formulation == "setfit":
        usual |= {"pair_iterations": 3, "penalty": 100.0}
    recipe = Recipe(**usual | {name: given.pop(name) for name in list(given) if name in Recipe.model_fields})
    arm = Arm.model_validate({
        "name": "arm", "method": "setfit", "formulation": formulation, "adaptation": moves, "role": "candidate",
        "lora": lora if moves == "lora" else None, "max_tokens": 64, "recipes": (recipe,),
        "objective": "contrastive" if formulation == "setfit" else "supervised",
    })  # fmt: skip
    fit = Fit(
        stage="fit", fingerprint="f",
        train=RowRef(split=given.pop("split", "train"), rows=given.pop("rows", (*range(24),))),
        validation=RowRef(split="validation", rows=tuple(range(16))) if given.pop("validated", False) else None,
        init_seed=5, order_seed=SEED, general=True,
    )  # fmt: skip
    scored = RowRef(split=given.pop("scored", "test"), rows=tuple(range(20)))
    scores = (Score(stage="score", fingerprint="s", split="test", rows=scored),)
    return Job(id="job", arm=arm, recipe=recipe, words={}, tokens={}, **{"fit": fit, "scores": scores, **given})


def ours(base: EncoderBase, job: Job, data: Sequence[Any], backward: Any = None) -> Course:
    weights = adaptation.moving(base, job.arm, len(LABELS), seed=5)
    view = adaptation.tuned(base, job.arm, (), weights.working)
    learner = Learner(lambda: view, weights, keeps_masters=not kind(job.arm).own)
    return train(Training(learner, job.recipe, data, SEED, None, NOBODY, backward=backward))


def rows_of(folder: Path, corpus: Corpus, count: int = 20) -> list[list[int]]:
    return Rows(folder / "tokenizer.json", corpus).of(RowRef(split="train", rows=tuple(range(count))), 64)


def examples(folder: Path, corpus: Corpus) -> list[Example]:
    labels = [row.label for row in corpus.splits["train"]]
    return [Example(tokens, labels[at]) for at, tokens in enumerate(rows_of(folder, corpus))]


def mean(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """The mean state of each row, written out."""
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return torch.stack([row[: int(keep.sum())].mean(0) for row, keep in zip(states, mask, strict=True)])


@pytest.mark.parametrize("split", ["test", "pairs"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_row_is_read_as_transformers_reads_it(
    name: str, split: str, folders: Any, double: Any, corpus: Corpus
) -> None:
    """Short and long rows together as each one alone through transformers' own tokenizer, pairs included."""
    base, ref = double(name), RowRef(split=split, rows=tuple(range(12)))
    found = base.reader(base.model).read(Rows(folders(name) / "tokenizer.json", corpus).of(ref, 64))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folders(name) / "tokenizer.json"),
        model_input_names=["input_ids", "attention_mask"] + (["token_type_ids"] if name == "bert" else []),
    )
    model = oracle(folders(name))
    for vector, row in zip(found, corpus.splits[split], strict=False):
        with torch.inference_mode():
            given = tokenizer(*row.fields.values(), return_tensors="pt")
            wanted = model(**given).last_hidden_state[0].mean(0)
        if name == "bert" and split == "pairs":
            assert given["token_type_ids"].sum() > 0
        torch.testing.assert_close(vector, wanted, atol=1e-10, rtol=1e-10)


def test_a_long_pair_is_cut_and_keeps_both_texts(folders: Any, corpus: Corpus) -> None:
    rows = Rows(folders("bert") / "tokenizer.json", corpus)
    ref, separator = RowRef(split="pairs", rows=(3,)), rows.separator
    (whole,), (cut,) = rows.of(ref, 64), rows.of(ref, 7)
    assert len(whole) > 7 == len(cut)
    assert [token for token in cut if token == separator] == [separator] * 2
    assert cut[1] != separator != cut[-2]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lora_with_a_head_is_what_a_plain_peft_loop_does(name: str, folders: Any, double: Any, corpus: Corpus) -> None:
    """Ten steps in fp64, all parameters within 1e-10."""
    base, job = double(name), work("encoder-head", "lora", lora=DEBERTA if name == "deberta-v2" else LORA)
    data = examples(folders(name), corpus)
    course, start = ours(base, job, data), adaptation.initial(base, job.arm, len(LABELS), 5)
    assert job.arm.lora is not None
    config = LoraConfig(r=4, lora_alpha=8, target_modules=list(job.arm.lora.targets))
    model = get_peft_model(oracle(folders(name)), config, autocast_adapter_dtype=False).eval().double()
    parameters = dict(model.named_parameters())
    head = torch.nn.Parameter(start["base_model.model.score.weight"].double().clone())
    adapters = {key: value for key, value in start.items() if "score" not in key}
    for key, value in peft_names(adapters):
        parameters[key].data.copy_(value)
    moving = [value for value in parameters.values() if value.requires_grad]
    assert len(moving) == len(adapters)
    plain_loop.train([*moving, head], lambda *x: mean(model, *x) @ head.T, job.recipe, data, SEED)
    torch.testing.assert_close(
        course.result["base_model.model.score.weight"].double(), head.data, atol=1e-10, rtol=1e-10
    )
    for key, value in peft_names({key: value for key, value in course.result.items() if "score" not in key}):
        torch.testing.assert_close(value.double(), parameters[key].data, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_with_a_head_is_what_a_plain_loop_does(name: str, folders: Any, double: Any, corpus: Corpus) -> None:
    base, job, data = double(name), work("encoder-head", "full"), examples(folders(name), corpus)
    course = ours(base, job, data)
    model, start = oracle(folders(name)), adaptation.initial(base, job.arm, len(LABELS), 5)
    head = torch.nn.Parameter(start["score.weight"].double().clone())
    plain_loop.train([*model.parameters(), head], lambda *x: mean(model, *x) @ head.T, job.recipe, data, SEED)
    assert course.result.keys() == {*dict(model.named_parameters()), "score.weight"}
    torch.testing.assert_close(course.result["score.weight"], head.data, atol=1e-10, rtol=1e-10)
    for key, value in model.named_parameters():
        torch.testing.assert_close(course.result[key], value.data, atol=1e-10, rtol=1e-10)


def test_pairs_are_as_many_as_they_should_be() -> None:
    """Labels 0 0 0 1 1 2, three passes: 5 texts have a partner of their label, all 6 one of another: 3 (5 + 6)."""
    labels = [0, 0, 0, 1, 1, 2]
    pairs = contrast.drawn(labels, 3, seed=1)
    alike = [(a, b) for a, b, same in pairs if same]
    others = [(a, b) for a, b, same in pairs if not same]
    assert (len(alike), len(others)) == (15, 18)
    assert all(labels[a] == labels[b] and a != b for a, b in alike)
    assert all(labels[a] != labels[b] for a, b in others)
    assert [a for a, _ in others] == [*range(6)] * 3
    assert pairs == contrast.drawn(labels, 3, seed=1) != contrast.drawn(labels, 3, seed=2)


def test_where_pairs_end() -> None:
    """One label: no text of another. Each label once: no text of the same. One text: nothing to compare."""
    assert {same for *_, same in contrast.drawn([1, 1], 2, 0)} == {1}
    assert {same for *_, same in contrast.drawn([0, 1, 2], 2, 0)} == {0}
    with pytest.raises(ValueError, match="makes no pair"):
        contrast.examples([[1, 2]], [0], 2, 0)


def test_the_loss_of_pairs_is_the_written_one(folders: Any, double: Any, corpus: Corpus) -> None:
    """Ten steps in fp64 against a loop that reads both texts of every pair anew, without micro-batches."""
    base, job = double("bert"), work("setfit", "full", batch_size=6, micro_batch=4, weight_decay=0.0)
    rows, labels = rows_of(folders("bert"), corpus, 8), [row.label for row in corpus.splits["train"][:8]]
    pairs = contrast.examples(rows, labels, 3, seed=4)
    assert len(pairs) == 2 * 3 * 8
    course = ours(base, job, pairs, contrast.backward)
    model, recipe, losses = oracle(folders("bert")), job.recipe, []
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    stream = batches(len(pairs), recipe.batch_size, SEED)
    for step in range(recipe.steps):
        parts = []
        for place in next(stream):
            u, v = (model(torch.tensor([text])).last_hidden_state[0].mean(0) for text in pairs[place].texts)
            cosine = (u @ v) / (u.norm() * v.norm())
            parts.append((cosine - pairs[place].label) ** 2)
        loss = torch.stack(parts).mean()
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * factor(
            recipe.schedule, step, recipe.steps, recipe.warmup_steps
        )
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close([loss for _, loss in course.losses], losses, atol=1e-10, rtol=1e-10)
    for key, value in model.named_parameters():
        torch.testing.assert_close(course.result[key], value.data, atol=1e-10, rtol=1e-10)


@pytest.fixture
def engine(folders: Any, corpus: Corpus) -> Engine:
    return Engine(ModelRef(path="/nowhere", weights_hash="", encoder=str(folders("bert"))), corpus, threads=1)


KINDS = [("encoder-head", "lora"), ("encoder-head", "full"), ("setfit", "lora"), ("setfit", "full")]


RIGHT = {("encoder-head", "lora"): 8, ("encoder-head", "full"): 16, ("setfit", "lora"): 10, ("setfit", "full"): 12}
"""Of 20 rows that it was trained on, at least; five by chance. Low-rank updates of a random network learn little."""


@pytest.mark.parametrize(("formulation", "moves"), KINDS)
def test_it_learns_the_toy_task(formulation: str, moves: str, engine: Engine) -> None:
    more = {"pair_iterations": 10} if formulation == "setfit" else {}
    given = {"rows": (*range(96),), "steps": 60, "learning_rate": 5e-3, "weight_decay": 0.0, "scored": "train"}
    answer = engine.run(work(formulation, moves, **given, **more))
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    found = sum(label == at % 4 for at, label in enumerate(scored.predicted))  # type: ignore[union-attr]
    assert found >= RIGHT[formulation, moves]
    assert fitted.losses[-1][1] < 0.9 * fitted.losses[0][1]  # type: ignore[union-attr]
    assert fitted.general is None  # type: ignore[union-attr]  # there is no next word to forget
    assert fitted.peak_memory_bytes > 0  # type: ignore[union-attr]
    assert {"transformers", "torch", "scikit-learn"} <= answer.versions.keys()


def test_setfit_ends_in_scikit_learns_regression(engine: Engine, folders: Any, corpus: Corpus) -> None:
    """On the embeddings of the state that it leaves, of unit length and standardised."""
    answer = engine.run(work("setfit", "full", steps=4))
    fitted, scored = answer.outcomes
    tensors = load_tensors(fitted.state)  # type: ignore[union-attr]
    head = {name: tensors.pop(name) for name in ("coefficients", "intercept")}
    model = AutoModel.from_pretrained(folders("bert"), dtype=torch.float32).eval()
    model.pooler = None
    model.load_state_dict(tensors)
    rows = Rows(folders("bert") / "tokenizer.json", corpus)

    def embeddings(split: str, count: int) -> np.ndarray[Any, Any]:
        ids = rows.of(RowRef(split=split, rows=tuple(range(count))), 64)
        with torch.inference_mode():
            found = torch.cat([model(torch.tensor([row])).last_hidden_state.mean(1) for row in ids])
        return functional.normalize(found, dim=-1).double().numpy()

    scaler = StandardScaler().fit(embeddings("train", 24))
    wanted = LogisticRegression(C=0.01, max_iter=1000).fit(
        scaler.transform(embeddings("train", 24)), [row.label for row in corpus.splits["train"][:24]]
    )
    probabilities = wanted.predict_proba(scaler.transform(embeddings("test", 20)))
    np.testing.assert_allclose(scored.probabilities, probabilities, atol=1e-4)  # type: ignore[union-attr]
    assert head["coefficients"].shape == (4, 32)


def test_turned_labels_are_what_it_learns(engine: Engine) -> None:
    """Label noise reaches pairs and regression: all of one label turned gives another state."""
    plain = work("setfit", "lora", steps=2)
    assert plain.fit is not None
    rows = plain.fit.train.model_copy(update={"flipped": (Flip(row=0, label=3),)})
    noisy = plain.model_copy(update={"fit": plain.fit.model_copy(update={"train": rows})})
    states = [engine.run(job).outcomes[0].state for job in (plain, noisy)]  # type: ignore[union-attr]
    assert states[0] != states[1]


def test_validation_stops_a_head_and_keeps_the_best(engine: Engine) -> None:
    job = work("encoder-head", "lora", validated=True, evaluate_every=2, patience=2, steps=40, learning_rate=5e-3)
    fitted = engine.run(job).outcomes[0]
    looks = dict(fitted.validation)  # type: ignore[union-attr]
    assert len(looks) >= 3
    assert looks[fitted.best_step] == max(looks.values())  # type: ignore[union-attr]


def test_a_pair_of_texts_gets_a_label(engine: Engine) -> None:
    answer = engine.run(work("encoder-head", "full", split="pairs", rows=(*range(16),), scored="pairs", steps=2))
    assert answer.failure is None, answer.message


@pytest.mark.parametrize("rows", [(), (3,)])
def test_too_few_rows_are_named(rows: tuple[int, ...], engine: Engine) -> None:
    answer = engine.run(work("setfit", "full", rows=rows))
    assert answer.failure == "error"
    assert ("no training rows" if not rows else "makes no pair") in answer.message


def test_without_a_state_nothing_is_predicted(engine: Engine) -> None:
    answer = engine.run(work("setfit", "full", fit=None))
    assert "nothing was fitted" in answer.message


RELOAD = """
import json, sys
from pathlib import Path
from fewtune.runtime.job import Corpus, Job, ModelRef
from fewtune.runtime.train.engine import Engine
folder = Path(sys.argv[1])
told = json.loads((folder / "told.json").read_text())
engine = Engine(ModelRef(path="/nowhere", weights_hash="", encoder="/nowhere", tuned_encoder=told["encoder"]),
                Corpus.model_validate(told["corpus"]), threads=1)
found = {}
for name, job in told["jobs"].items():
    answer = engine.run(Job.model_validate(job), state=(folder / name).read_bytes())
    assert answer.failure is None, answer.message
    found[name] = answer.outcomes[0].probabilities
print(json.dumps(found))
"""


def test_a_new_process_predicts_the_same(engine: Engine, folders: Any, corpus: Corpus, tmp_path: Path) -> None:
    """From the bytes of its state, through the encoder that the job's worker is told."""
    jobs, wanted = {}, {}
    for formulation, moves in KINDS:
        job, name = work(formulation, moves, steps=3), f"{formulation}-{moves}"
        fitted, scored = engine.run(job).outcomes
        (tmp_path / name).write_bytes(fitted.state)  # type: ignore[union-attr]
        jobs[name] = job.model_copy(update={"fit": None}).model_dump(mode="json")
        wanted[name] = [list(row) for row in scored.probabilities]  # type: ignore[union-attr]
    told = {"corpus": corpus.model_dump(mode="json"), "jobs": jobs, "encoder": str(folders("bert"))}
    (tmp_path / "told.json").write_text(json.dumps(told))
    done = preloaded.run("-c", RELOAD, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == wanted
