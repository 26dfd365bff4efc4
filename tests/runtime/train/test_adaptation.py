"""States: what is saved is what was evaluated, and plain peft and transformers read it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from tiny import LABELS
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from fewtune.runtime.job import Corpus, Fitted, Job, RowRef, Scored
from fewtune.runtime.train.adaptations.sites import sites
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.state import about


def prompts(folder: Path, job: Job, corpus: Corpus) -> list[list[int]]:
    encoder = Encoder(load_tokenizer(str(folder / "tokenizer.json")))
    return encoder.rows(Template(str(job.arm.pattern)), 64, corpus, RowRef(split="test", rows=tuple(range(40))))


def probabilities(model: Any, rows: list[list[int]], tokens: list[int] | None) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        logits = [model(torch.tensor([row])).logits[0] for row in rows]
        return torch.stack([(x if tokens is None else x[-1, tokens]).softmax(-1) for x in logits]).numpy()


def run(engine: Any, job: Job) -> tuple[Fitted, Scored]:
    answer = engine.run(job)
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    return fitted, scored


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_plain_peft_loads_a_lora_state_and_agrees(
    architecture: str, formulation: str, models: Any, job: Any, engine: Any, corpus: Corpus, tmp_path: Path
) -> None:
    task, folder = job(formulation, "lora", architecture=architecture), models(architecture)
    fitted, scored = run(engine(architecture), task)
    head = formulation == "head"
    kind = AutoModelForSequenceClassification if head else AutoModelForCausalLM
    more: dict[str, Any] = {"num_labels": 4, "pad_token_id": 0} if head else {}
    model = kind.from_pretrained(folder, attn_implementation="eager", **more).eval()
    config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=list(task.arm.lora.targets),
        modules_to_save=["score"] if head else None,
        task_type="SEQ_CLS" if head else "CAUSAL_LM",
    )
    folder_of_adapter = tmp_path / "adapter"
    config.save_pretrained(folder_of_adapter)
    save_file(load_tensors(fitted.state), folder_of_adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    peft = get_peft_model(model, config).eval()
    report = set_peft_model_state_dict(peft, load_tensors(fitted.state))
    assert not report.unexpected_keys
    assert not [key for key in report.missing_keys if "lora_" in key or "modules_to_save" in key]
    rows, tokens = prompts(folder, task, corpus), None if head else list(task.tokens.values())
    np.testing.assert_allclose(scored.probabilities, probabilities(peft, rows, tokens), atol=1e-5)

    from peft import PeftModel

    fresh = kind.from_pretrained(folder, attn_implementation="eager", **more).eval()
    again = PeftModel.from_pretrained(fresh, folder_of_adapter).eval()
    np.testing.assert_allclose(scored.probabilities, probabilities(again, rows, tokens), atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_transformers_loads_a_full_state_and_agrees(
    architecture: str, formulation: str, models: Any, job: Any, engine: Any, corpus: Corpus
) -> None:
    task, folder = job(formulation, "full", architecture=architecture, learning_rate=1e-3), models(architecture)
    fitted, scored = run(engine(architecture), task)
    head = formulation == "head"
    kind = AutoModelForSequenceClassification if head else AutoModelForCausalLM
    more: dict[str, Any] = {"num_labels": 4, "pad_token_id": 0} if head else {}
    model = kind.from_pretrained(folder, attn_implementation="eager", **more).eval()
    report = model.load_state_dict(load_tensors(fitted.state), strict=False)
    assert not report.unexpected_keys
    assert set(report.missing_keys) <= {"lm_head.weight"}  # tied to the embedding
    rows, tokens = prompts(folder, task, corpus), None if head else list(task.tokens.values())
    np.testing.assert_allclose(scored.probabilities, probabilities(model, rows, tokens), atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("formulation", "moves"), [("pattern", "lora"), ("head", "lora"), ("pattern", "full"), ("head", "full")]
)
def test_a_reloaded_state_gives_the_same_bits(
    precision: str, formulation: str, moves: str, job: Any, engine: Any
) -> None:
    given = {"precision": precision, "validated": True, "evaluate_every": 2}
    validation = RowRef(split="validation", rows=tuple(range(16)))
    task = job(formulation, moves, **given)
    score = task.scores[0].model_copy(update={"split": "validation", "rows": validation})
    task = task.model_copy(update={"scores": (*task.scores, score)})
    subject = engine()
    first = subject.run(task)
    state = first.outcomes[0].state
    again = subject.run(task.model_copy(update={"fit": None}), state=state)
    assert again.failure is None, again.message
    for before, after in zip(first.outcomes[1:], again.outcomes, strict=True):
        assert before.probabilities == after.probabilities
    kinds = {str(value.dtype) for name, value in load_tensors(state).items() if "score" not in name}
    assert kinds == {"torch.bfloat16" if (precision, moves) == ("bf16", "full") else "torch.float32"}


def test_a_state_says_what_it_is(job: Any, engine: Any) -> None:
    fitted, _ = run(engine(), job("pattern", "lora", steps=1))
    facts = about(fitted.state)
    assert facts["labels"] == list(LABELS)
    assert facts["lora"]["rank"] == 4
    assert facts["pattern"] == "{text}\nTopic:"
    assert facts["tokens"] == list(job("pattern").tokens.values())
    assert fitted.trainable_parameters == sum(value.numel() for value in load_tensors(fitted.state).values())


def test_the_head_does_not_depend_on_what_else_moves(bases: Any, job: Any) -> None:
    from fewtune.runtime.train.adaptation import initial

    base = bases()
    with_lora = initial(base, job("head", "lora").arm, 4, seed=9)["base_model.model.score.weight"]
    alone = initial(base, job("head", "full").arm, 4, seed=9)["score.weight"]
    assert torch.equal(with_lora, alone)
    assert with_lora.std() == pytest.approx(0.1, rel=0.2)
    other = initial(base, job("head", "full").arm, 4, seed=10)["score.weight"]
    assert not torch.equal(other, alone)


def test_targets_that_do_not_exist_are_named(models: Any) -> None:
    model = AutoModelForCausalLM.from_pretrained(models())
    assert len(sites(model, ("q_proj", "down_proj"))) == 4
    assert len(sites(model, ("self_attn.q_proj",))) == 2
    with pytest.raises(ValueError, match=r"'c_attn'.*q_proj"):
        sites(model, ("q_proj", "c_attn"))
    with pytest.raises(ValueError, match="lm_head"):
        sites(model, ("lm_head",))
