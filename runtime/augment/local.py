"""A teacher on this machine: a language model in the Hugging Face layout, the embedded one included."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fewtune.runtime.augment.teacher import Answer, Question, Trouble

SMALL = 1_000_000_000
"""Parameters below which a model writes badly."""
BATCH = 8
"""Questions that are answered together."""
TOP_P = 0.95


class LocalModel:
    """Answers in plain text; the batches are a function of the questions, so that a repetition gives the same texts."""

    structured = False

    def __init__(self, folder: Path, name: str, *, device: str = "cpu", batch: int = BATCH) -> None:
        """Load it.

        Args:
            folder: config.json, tokenizer.json and *.safetensors.
            name: how it is called in questions' keys.
            device: as torch writes it.
            batch: questions that are answered together.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        place: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._torch, self._batch, self.model = torch, batch, name
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self._network = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, use_safetensors=True, **place)
        self._network.eval().to(device)
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder), padding_side="left", **place)
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.convert_ids_to_tokens(0)
        self.note = _note(sum(p.numel() for p in self._network.parameters()))

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Batch after batch, in the order of the questions."""
        for start in range(0, len(questions), self._batch):
            part = questions[start : start + self._batch]
            for place, answer in enumerate(self._answered(part)):
                yield start + place, answer

    def _answered(self, questions: Sequence[Question]) -> list[Answer]:
        torch = self._torch
        rows = self._tokenizer([self._prompt(question) for question in questions], return_tensors="pt", padding=True,
                               add_special_tokens=False).to(self._network.device)  # fmt: skip
        first = questions[0]
        warm = first.temperature > 0
        sampling: dict[str, Any] = {"do_sample": True, "temperature": first.temperature, "top_p": TOP_P, "top_k": 0}
        torch.manual_seed(first.seed % 2**63)
        with torch.inference_mode():
            written = self._network.generate(
                **rows, max_new_tokens=max(question.max_tokens for question in questions),
                pad_token_id=self._tokenizer.pad_token_id, **(sampling if warm else {"do_sample": False}),
            )  # fmt: skip
        read = rows["attention_mask"].sum(1).tolist()
        ends = {self._tokenizer.eos_token_id, self._tokenizer.pad_token_id}
        news = written[:, rows["input_ids"].shape[1] :].tolist()
        return [self._answer(tokens, int(asked), ends) for tokens, asked in zip(news, read, strict=True)]

    def _answer(self, tokens: list[int], asked: int, ends: set[int | None]) -> Answer:
        stop = next((place for place, token in enumerate(tokens) if token in ends), None)
        text = self._tokenizer.decode(tokens[:stop], skip_special_tokens=True).strip()
        said = len(tokens) if stop is None else stop + 1
        ended: Any = "length" if stop is None else "stop"
        return Answer(text=text, model=self.model, prompt_tokens=asked, completion_tokens=said, ended=ended)

    def _prompt(self, question: Question) -> str:
        if self._tokenizer.chat_template is None:
            return f"{question.system}\n\n{question.user}\n"
        messages = [{"role": "system", "content": question.system}, {"role": "user", "content": question.user}]
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text


def _note(parameters: int) -> str:
    if parameters >= SMALL:
        return ""
    return (
        f"a model of {parameters / 1e6:.0f}M parameters writes examples badly: it repeats itself, forgets the label "
        "and keeps no format; use it to try the pipeline, not for data to rely on"
    )
