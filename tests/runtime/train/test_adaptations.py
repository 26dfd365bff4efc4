"""Every adaptation: it moves what it should, as peft or a written-out loop moves it, and comes back as it was saved."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import plain_loop
import preloaded
import pytest
import torch
from adaptation_cases import CASES, NAMES, Case
from peft import PeftConfig, get_peft_model
from peft_oracle import examples, peft_names
from safetensors.torch import load as load_tensors
from tiny import LABELS
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from fewtune.compiler.arm import Arm
from fewtune.runtime.job import Corpus, Job
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.adaptations import kind
from fewtune.runtime.train.loop import Course, Learner, Training, train
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.pulse import Pulse
from fewtune.specs.methods import OWN_WEIGHTS

SEED = 11
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""Linear layers of the tiny Llama."""
every = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def compared(oracle: str) -> Any:
    """The cases with this oracle."""
    found = {name: case for name, case in CASES.items() if case.oracle == oracle}
    return pytest.mark.parametrize("case", found.values(), ids=found.keys())


@pytest.fixture
def task(job: Any) -> Callable[..., Job]:
    """A job of a case."""

    def made(case: Case, formulation: str = "pattern", **given: Any) -> Job:
        usual = {"steps": 10, "micro_batch": 3, "learning_rate": case.learning_rate, "weight_decay": 0.1}
        found: Job = job(formulation, "lora", architecture=case.architecture, **usual | given)
        return found.model_copy(update={"arm": case.of(found.arm)})

    return made


def ours(base: Base, work: Job, data: Sequence[Any]) -> Course:
    """Our own training."""
    tokens = [] if work.arm.formulation == "head" else list(work.tokens.values())
    weights = adaptation.moving(base, work.arm, len(LABELS), seed=5)
    view = adaptation.tuned(base, work.arm, tokens, weights.working)
    learner = Learner(lambda: view, weights, keeps_masters=not kind(work.arm).own)
    return train(Training(learner, work.recipe, data, SEED, None, Pulse("job", lambda _: None)))


def test_each_has_a_fixture() -> None:
    assert sorted(CASES) == sorted(NAMES)


@every
def test_it_moves_what_it_should(case: Case, task: Any, bases: Any, models: Any, corpus: Corpus) -> None:
    """The base stays as it is, to the bit; all that moves is named as it should be, and differs from its beginning."""
    held = "fp32 nf4" if case.name == "qlora" else "fp32"
    base, work = bases(case.architecture, held), task(case)
    before = {name: value.clone() for name, value in base.model.named_parameters()}
    start = {name: value.clone() for name, value in adaptation.initial(base, work.arm, len(LABELS), 5).items()}
    course = ours(base, work, examples(models(case.architecture), work.arm, corpus))
    assert all(torch.equal(value, before[name]) for name, value in base.model.named_parameters())
    assert all(re.search(case.moves, name) for name in course.result)
    assert (case.name in OWN_WEIGHTS) is kind(work.arm).own
    if kind(work.arm).own:
        assert {name for name in before if re.search(case.moves, name)} == course.result.keys()
    assert course.result.keys() == start.keys()
    assert all(not torch.equal(course.result[name], value) for name, value in start.items())
    numbers = sum(value.numel() for value in course.result.values())
    assert numbers == (case.count or sum(value.numel() for value in before.values()))


@compared("peft")
def test_it_is_what_a_plain_peft_loop_does(case: Case, task: Any, bases: Any, models: Any, corpus: Corpus) -> None:
    """Ten steps in fp64, all parameters within 1e-10."""
    base, work, folder = bases(case.architecture, "double"), task(case), models(case.architecture)
    data = examples(folder, work.arm, corpus)
    course = ours(base, work, data)
    model = by_peft(folder, work.arm)
    parameters = dict(model.named_parameters())
    start = adaptation.initial(base, work.arm, len(LABELS), 5)
    for name, value in live_names(start):
        parameters[name].data.copy_(value)
    moving = [name for name, parameter in parameters.items() if parameter.requires_grad]
    assert len(moving) == len(start)
    tokens, before = list(work.tokens.values()), work.arm.virtual_tokens

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        wide: Tensor = model(input_ids=ids, attention_mask=mask).logits
        return plain_loop.last(wide[:, wide.shape[1] - ids.shape[1] :], mask)[:, tokens]

    assert before == 0 or case.name in ("prefix", "prompt")
    ratio = work.arm.lora.lr_ratio if work.arm.lora else 1.0
    factors = [ratio if ".lora_B." in name else 1.0 for name in moving]
    plain_loop.train([parameters[name] for name in moving], logits, work.recipe, data, SEED, factors)
    for name, value in live_names(course.result):
        torch.testing.assert_close(value.double(), parameters[name].data, atol=1e-10, rtol=1e-10)


def by_peft(folder: Path, arm: Arm) -> Any:
    """The same arm, made by peft from the config that an export would have."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float64).eval()
    config = PeftConfig.from_peft_type(**kind(arm).config(arm, TARGETS), task_type="CAUSAL_LM")
    return get_peft_model(model, config, autocast_adapter_dtype=False).eval().double()


def live_names(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Names of a state as the parameters of a live peft model are called."""
    for name, value in peft_names(tensors):
        if name == "prompt_embeddings":
            yield "prompt_encoder.default.embedding.weight", value
        else:
            yield (
                re.sub(r"(lora_magnitude_vector)$", r"\1.default.weight", re.sub(r"(ia3_l)$", r"\1.default", name)),
                value,
            )


@compared("plain")
def test_it_is_what_a_plain_loop_does(case: Case, task: Any, bases: Any, models: Any, corpus: Corpus) -> None:
    """The parameters whose names match, in a transformers model, with falling rates where the arm has them."""
    base, work, folder = bases(case.architecture, "double"), task(case), models(case.architecture)
    data = examples(folder, work.arm, corpus)
    course = ours(base, work, data)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float64).eval()
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(re.search(case.moves, name) is not None)
    tokens = list(work.tokens.values())

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        return plain_loop.last(model(input_ids=ids, attention_mask=mask).logits, mask)[:, tokens]

    def factor(name: str) -> float:
        decay = work.arm.layer_decay
        return decay**2 if "embed" in name else decay if ".layers.0." in name else 1.0

    moving = [name for name, parameter in parameters.items() if parameter.requires_grad]
    factors = [factor(name) for name in moving]
    plain_loop.train([parameters[name] for name in moving], logits, work.recipe, data, SEED, factors)
    assert moving == list(course.result)
    for name, value in course.result.items():
        torch.testing.assert_close(value, parameters[name].data, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("placement", "behind"), [("houlsby", ("o_proj", "down_proj")), ("pfeiffer", ("down_proj",))])
def test_an_adapter_is_what_the_papers_draw(
    placement: str, behind: tuple[str, ...], task: Any, bases: Any, models: Any
) -> None:
    """Against hooks on a transformers model: h + U f(D h + d) + u behind each sublayer, before the block adds."""
    case = CASES["adapter"]
    arm = Arm.model_validate(task(case).arm.model_dump() | {"adapter": {"width": 8, "placement": placement}})
    base = bases("llama", "double")
    values = adaptation.initial(base, arm, len(LABELS), 5)
    generator = torch.Generator().manual_seed(1)
    values = {name: torch.randn(value.shape, generator=generator).double() / 4 for name, value in values.items()}
    assert len(values) == 2 * len(behind) * 4
    rows = [[3, 5, 7], [4, 9, 2, 6]]
    found = adaptation.tuned(base, arm, list(range(20)), values).logits(rows)
    model = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="sdpa", dtype=torch.float64).eval()
    activation = nn.GELU() if placement == "houlsby" else nn.ReLU()

    def hooked(path: str) -> Any:
        own = {part: values[f"base_model.model.{path}.adapter.{part}"] for part in
               ("down.weight", "down.bias", "up.weight", "up.bias")}  # fmt: skip

        def hook(_: Any, __: Any, h: Tensor) -> Tensor:
            narrow = activation(h @ own["down.weight"].T + own["down.bias"])
            wide: Tensor = h + narrow @ own["up.weight"].T + own["up.bias"]
            return wide

        return hook

    for path, module in model.named_modules():
        if path.endswith(behind):
            module.register_forward_hook(hooked(path))
    wanted = torch.stack([model(torch.tensor([row])).logits[0, -1, :20] for row in rows])
    torch.testing.assert_close(found, wanted, atol=1e-10, rtol=1e-10)


def test_virtual_tokens_are_tokens(task: Any, bases: Any) -> None:
    """A prefix or prompt that is made of a text reads as the text itself would."""
    base, rows, text = bases("llama", "double"), [[3, 5, 7], [4, 9]], [8, 2, 11, 6]
    for name in ("prefix", "prompt"):
        arm = task(CASES[name]).arm
        values = kind(arm).begun(base, text)  # type: ignore[attr-defined]
        found = adaptation.tuned(base, arm, list(range(20)), {"prompt_embeddings": values}).logits(rows)
        wanted = adaptation.tuned(base, arm.model_copy(update={"adaptation": "none"}), list(range(20)), {})
        torch.testing.assert_close(found, wanted.logits([text + row for row in rows]), atol=1e-10, rtol=1e-10)


def test_merged_weights_say_the_same(task: Any, bases: Any) -> None:
    """In fp64, with every tensor that moves drawn anew: the merged model's logits are the arm's."""
    rows = [[3, 5, 7], [4, 9, 2, 6]]
    merging = []
    for case in CASES.values():
        base, arm = bases(case.architecture, "double"), task(case).arm
        generator = torch.Generator().manual_seed(3)
        start = adaptation.initial(base, arm, len(LABELS), 5)
        values = {
            name: v.double() + torch.randn(v.shape, generator=generator, dtype=torch.float64) / 8
            for name, v in start.items()
        }
        weights = {name: value.double() for name, value in base.model.named_parameters()}
        merged = kind(arm).merged(weights, values, arm)
        if merged is None:
            continue
        merging.append(case.name)
        found = adaptation.tuned(base, arm.model_copy(update={"adaptation": "none"}), range(20), {})
        view = base.view({name: merged[name] for name in weights})
        found = adaptation.Tuned(base.reader(view), adaptation.word_readout(view, arm, range(20), base.device), False)
        wanted = adaptation.tuned(base, arm, range(20), values).logits(rows)
        torch.testing.assert_close(found.logits(rows), wanted, atol=1e-6, rtol=1e-6)
    assert set(CASES) - set(merging) == {"adapter", "prefix", "prompt"}


RELOAD = """
import json, sys
from pathlib import Path
from fewtune.runtime.job import Corpus, Job, ModelRef
from fewtune.runtime.train.engine import Engine
folder = Path(sys.argv[1])
told = json.loads((folder / "told.json").read_text())
corpus = Corpus.model_validate(told["corpus"])
found = {}
for name, (job, model) in told["jobs"].items():
    engine = Engine(ModelRef(path=model, weights_hash="tiny"), corpus, threads=1)
    answer = engine.run(Job.model_validate(job), state=(folder / name).read_bytes())
    assert answer.failure is None, answer.message
    found[name] = answer.outcomes[0].probabilities
print(json.dumps(found))
"""


def test_a_new_process_predicts_the_same(task: Any, models: Any, engine: Any, corpus: Corpus, tmp_path: Path) -> None:
    """Every adaptation, with a pattern and with a head, from the bytes of its state."""
    jobs, wanted = {}, {}
    for name, case in CASES.items():
        for formulation in ("pattern", "head"):
            work = task(case, formulation, steps=3)
            answer = engine(case.architecture).run(work)
            assert answer.failure is None, answer.message
            fitted, scored = answer.outcomes
            head = 128 if formulation == "head" else 0
            assert not case.count or fitted.trainable_parameters == case.count + head
            key = f"{name}-{formulation}"
            (tmp_path / key).write_bytes(fitted.state)
            jobs[key] = (work.model_copy(update={"fit": None}).model_dump(mode="json"), str(models(case.architecture)))
            wanted[key] = [list(row) for row in scored.probabilities]
    told = {"corpus": corpus.model_dump(mode="json"), "jobs": jobs}
    (tmp_path / "told.json").write_text(json.dumps(told))
    done = preloaded.run("-c", RELOAD, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == wanted


@every
def test_a_text_can_be_written(case: Case, task: Any, engine: Any, models: Any, texts: Corpus) -> None:
    """Rows that share a beginning and rows that do not are written alike."""
    from fewtune.compiler.arm import Generation
    from fewtune.runtime.job import ModelRef
    from fewtune.runtime.train.engine import Engine

    work = task(case, steps=4)
    shape = Generation(max_new_tokens=6, end_tokens=(0,), stop_at_newline=False)
    arm = work.arm.model_copy(update={"formulation": "generation", "generation": shape, "pattern": "{text}\nSummary:"})
    work = work.model_copy(update={"arm": arm, "metric": "rouge_l", "tokens": {}, "words": {}})
    subject = Engine(ModelRef(path=str(models(case.architecture)), weights_hash="tiny"), texts, threads=1)
    answer = subject.run(work)
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert len(scored.texts) == 40
    one = work.scores[0].model_copy(update={"rows": work.scores[0].rows.model_copy(update={"rows": (7,)})})
    alone = subject.run(work.model_copy(update={"fit": None, "scores": (one,)}), state=fitted.state)
    assert alone.failure is None, alone.message
    assert alone.outcomes[0].texts[0] == scored.texts[7]


def test_a_state_is_read_by_peft(task: Any, engine: Any, models: Any, corpus: Corpus, tmp_path: Path) -> None:
    """The saved tensors have peft's names, wherever peft has the adaptation."""
    from peft import PeftModel
    from safetensors.torch import save_file

    for case in (case for case in CASES.values() if case.oracle == "peft"):
        work = task(case, steps=3)
        fitted = engine(case.architecture).run(work).outcomes[0]
        folder = tmp_path / case.name
        PeftConfig.from_peft_type(**kind(work.arm).config(work.arm, TARGETS), task_type="CAUSAL_LM").save_pretrained(
            folder
        )
        save_file(load_tensors(fitted.state), folder / "adapter_model.safetensors", metadata={"format": "pt"})
        plain = AutoModelForCausalLM.from_pretrained(models(case.architecture), attn_implementation="eager").eval()
        model = PeftModel.from_pretrained(plain, folder).eval()
        data = examples(models(case.architecture), work.arm, corpus, 8)
        score = work.scores[0].model_copy(
            update={"rows": work.scores[0].rows.model_copy(update={"split": "train", "rows": tuple(range(8))})}
        )
        again = engine(case.architecture).run(
            work.model_copy(update={"fit": None, "scores": (score,)}), state=fitted.state
        )
        with torch.inference_mode():
            logits = [
                model(input_ids=torch.tensor([list(row.tokens)])).logits[0, -1, list(work.tokens.values())]
                for row in data
            ]
        wanted = torch.stack(logits).softmax(-1)
        found = torch.tensor(again.outcomes[0].probabilities)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
