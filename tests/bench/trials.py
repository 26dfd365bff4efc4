"""A plan's LoRA trials written down for those who train them without fewtune: used by grid.py."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from fewtune.api.session import plan_spec
from fewtune.runtime.families import JobMaker, families
from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.job import Corpus, Job, RowRef
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.model import Base, load
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.schedule import factor

Example = tuple[list[int], int]
"""Tokens of the prompt, and the label's place."""


def written(spec: Path, file: Path) -> tuple[str, ...]:
    """Write the trials of a spec as JSON, their first adapters beside it; returns the trials' names."""
    planned = plan_spec(spec, spec.parent / "unused")
    maker, corpus = JobMaker(planned.compiled, planned.probed.facts.data), planned.probed.corpus
    jobs = {
        str(family.trial): maker.job(family, family.scores, fit=True, micro_batch=None, attempt=1)
        for family in families(planned.plan).values()
        if family.fit and family.fit.kind == "train"
    }
    base = load(str(embedded_folder()), "fp32", "cpu")
    encoder = Encoder(load_tokenizer(str(embedded_folder() / "tokenizer.json")))
    first = next(iter(jobs.values()))
    content = {
        "model": str(embedded_folder()),
        "words": [first.tokens[label] for label in corpus.labels],
        "batch": first.recipe.batch_size,
        "test": examples(encoder, corpus, first, first.scores[0].rows),
        "trials": [
            trial(encoder, corpus, job, base, file.with_name(f"adapter-{number}.safetensors"))
            for number, job in enumerate(jobs.values())
        ],
    }
    file.write_text(json.dumps(content))
    return tuple(jobs)


def trial(encoder: Encoder, corpus: Corpus, job: Job, base: Base, adapter: Path) -> dict[str, Any]:
    """One trial: its settings, its learning rates step by step, and its examples in their order."""
    recipe, lora, fit = job.recipe, job.arm.lora, job.fit
    assert lora is not None
    assert fit is not None
    save_file(adaptation.initial(base, job.arm, len(corpus.labels), fit.init_seed), adapter)
    rows = examples(encoder, corpus, job, fit.train)
    stream = batches(len(rows), recipe.batch_size, fit.order_seed)
    factors = [factor(recipe.schedule, step, recipe.steps, recipe.warmup_steps) for step in range(recipe.steps)]
    return {
        "adapter": str(adapter),
        "rank": lora.rank,
        "alpha": lora.alpha,
        "targets": lora.targets,
        "rates": [recipe.learning_rate * each for each in factors],
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "examples": [rows[row] for _ in factors for row in next(stream)],
    }


def examples(encoder: Encoder, corpus: Corpus, job: Job, ref: RowRef) -> list[Example]:
    """Rows as the model reads them."""
    rows = encoder.rows(Template(str(job.arm.pattern)), job.arm.max_tokens, corpus, ref)
    return [(list(tokens), corpus.splits[ref.split][row].label) for tokens, row in zip(rows, ref.rows, strict=True)]
