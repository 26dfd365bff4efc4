"""The rows of evidence that decisions cite: condition, effect, strength, source, conflicts.

A row never decides alone: a decision in `compiler/rules` weighs rows, names the one that settled the value and the
ones that it overruled. Strength is the row's own, not our liking for it. Local rows (M-...) were measured with this
project's own engine; their source names the script that repeats them.
"""

from fewtune.compiler.decision import Strength
from fewtune.compiler.fingerprint import fingerprint
from fewtune.specs.frozen import Frozen


class Evidence(Frozen):
    """One statement of the literature, in our words."""

    id: str
    condition: str
    effect: str
    strength: Strength
    source: str
    conflicts: tuple[str, ...] = ()


def _row(id: str, condition: str, effect: str, strength: Strength, source: str, *conflicts: str) -> Evidence:
    return Evidence(id=id, condition=condition, effect=effect, strength=strength, source=source, conflicts=conflicts)


SURVEY = "arXiv 2411.09539 (survey of fine-tuning with limited data)"
COMPAN = "arXiv 2405.13181, released notebooks and result files"

ROWS: tuple[Evidence, ...] = (
    _row(
        "R-003",
        "text classification, n below about 100 (binary: several hundred)",
        "add a zero-shot or in-context arm (there: a larger general model); tuned small models break even at about 100",
        "strong",
        "arXiv 2402.12819, 8 models x 8 tasks",
        "R-004",
        "R-031",
    ),
    _row(
        "R-005",
        "same model and examples, out-of-domain evaluation",
        "in-context learning and fine-tuning are similarly robust; measure both",
        "mixed",
        "arXiv 2305.16938",
    ),
    _row(
        "R-006",
        "the memory is given",
        "the larger base at 8 or 4 bit over a smaller one in 16 bit",
        "mixed",
        f"{SURVEY} sections 3.6, 5.4",
    ),
    _row(
        "R-008",
        "decoder, n below about 1k",
        "start from an instruction-tuned checkpoint: it converges faster and needs fewer examples",
        "mixed",
        f"{SURVEY} section 5.4",
    ),
    _row(
        "R-013",
        "training and evaluation prompts may differ",
        "lock one prompt format for both",
        "mixed",
        f"{SURVEY} section 5.4",
        "R-071",
    ),
    _row("R-016", "text classification, 1k <= n < 10k", "LoRA", "mixed", f"{SURVEY} Table 4 (encoders)", "R-031"),
    _row(
        "R-017",
        "text classification, n >= 10k",
        "full fine-tuning with small batches and clipping",
        "mixed",
        f"{SURVEY} Table 4 (encoders)",
        "R-023",
        "R-031",
    ),
    _row(
        "R-023",
        "decoder, n below 100k",
        "parameter-efficient tuning matches or beats full fine-tuning",
        "strong",
        f"{SURVEY} sections 3.5, 5.4",
        "R-017",
        "R-031",
        "R-032",
    ),
    _row(
        "R-027",
        "latency matters, one task for each deployment",
        "merge LoRA into the weights; no long prompts",
        "strong",
        f"{SURVEY} sections 3.1-3.5",
        "R-028",
    ),
    _row("R-028", "many tasks served from one base", "keep LoRA unmerged", "mixed", "LoRA Without Regret", "R-027"),
    _row(
        "R-031",
        "LLM 7B-70B: n < 100 / 100-1000 / >= 1000",
        "QLoRA r=8 / QLoRA r=16 / LoRA r=16-32 or full",
        "folklore",
        "Vereonix decision matrix (vendor)",
        "R-003",
        "R-016",
        "R-017",
        "R-023",
        "R-039",
        "R-144",
        "R-145",
    ),
    _row(
        "R-032",
        "300-800 domain examples, quality first",
        "full fine-tuning beats every adapter by 3-5 points",
        "folklore",
        "Vereonix section 3.1 (no seeds, no rates reported)",
        "R-023",
    ),
    _row(
        "R-034",
        "nothing else is known",
        "r = 16, alpha = 16, dropout 0.05",
        "folklore",
        f"{SURVEY} section 5.4",
        "R-037",
        "R-040",
    ),
    _row(
        "R-035",
        "LoRA on a decoder",
        "target all linear layers, the MLP included",
        "strong",
        "LoRA Without Regret (TRL documentation), QLoRA",
    ),
    _row(
        "R-036",
        "n <= 100k, LoRA on all layers",
        "rank 4 to 128 changes little: do not spend the budget on it",
        "strong",
        f"{SURVEY} section 3.6, QLoRA appendix",
        "R-037",
        "R-039",
    ),
    _row(
        "R-037",
        "code or maths, about 100k samples",
        "r = 256, alpha = 2r: 16-64 is not enough",
        "strong",
        "arXiv 2405.09673",
        "R-034",
        "R-036",
        "R-039",
        "R-138",
    ),
    _row(
        "R-038",
        "capacity",
        "LoRA parameters should not be fewer than the loss-carrying tokens",
        "mixed",
        "Tinker documentation",
        "R-039",
    ),
    _row(
        "R-039",
        "n below about 100-500, risk of over-fitting",
        "r = 4-8 as an implicit regulariser",
        "folklore",
        "Vereonix section 3.3",
        "R-031",
        "R-036",
        "R-037",
        "R-038",
    ),
    _row(
        "R-040",
        "alpha",
        "fix it by a convention (16, 32 or 2r) and tune the learning rate only",
        "strong",
        "LoRA and QLoRA papers",
        "R-034",
    ),
    _row(
        "R-041",
        "r >= 64",
        "scale by alpha / sqrt(r) (rsLoRA)",
        "mixed",
        "PEFT documentation; arXiv 2312.03732",
        "R-049",
    ),
    _row(
        "R-048",
        "full-parameter tuning",
        "learning rate 5e-6 to 5e-5, lower for larger models",
        "strong",
        f"{SURVEY} section 5.4",
        "R-052",
    ),
    _row(
        "R-049",
        "LoRA",
        "ten times the rate of full fine-tuning; 2e-4 up to 13B, 1e-4 from 33B; nearly independent of rank",
        "strong",
        "TRL documentation, arXiv 2405.09673, QLoRA",
        "R-041",
        "R-050",
        "R-051",
    ),
    _row(
        "R-051",
        "LoRA runs of fewer than about 100 steps",
        "up to fifteen times the rate of full fine-tuning",
        "mixed",
        "LoRA Without Regret (summaries)",
        "R-049",
    ),
    _row(
        "R-052",
        "few-shot full fine-tuning of small decoders",
        "1e-5, 40 epochs, batch 32, no weight decay",
        "mixed",
        f"{COMPAN}; arXiv 2305.16938 scripts",
        "R-048",
        "R-056",
    ),
    _row(
        "R-053",
        "BERT-type, n below about 10k",
        "AdamW with bias correction, 2e-5, 10 % warm-up, 20 epochs",
        "strong",
        "arXiv 2006.04884",
        "R-056",
    ),
    _row(
        "R-054",
        "few samples (shown with models of BERT's kind)",
        "set a minimum number of update steps, not epochs",
        "strong",
        "arXiv 2006.05987",
        "R-056",
    ),
    _row(
        "R-056",
        "low-resource tuning of LLMs",
        "2-3 epochs; up to 20-25 in the extreme, with early stopping",
        "mixed",
        f"{SURVEY} section 5.4",
        "R-052",
        "R-053",
        "R-054",
    ),
    _row(
        "R-060",
        "parameter-efficient tuning or few examples",
        "1-8 a device, effective batch below 32",
        "mixed",
        f"{SURVEY} section 5.4, TRL documentation",
        "R-061",
    ),
    _row(
        "R-061",
        "few-shot pattern tuning of OPT-125M",
        "larger batches (to 32) went with accuracy",
        "folklore",
        "arXiv 2501.07853",
        "R-060",
    ),
    _row(
        "R-062",
        "schedule",
        "AdamW, cosine or linear decay, 3-5 % warm-up, clip at 1.0",
        "mixed",
        f"{SURVEY} section 5.4",
        "R-063",
    ),
    _row(
        "R-063",
        "schedule",
        "a constant rate without warm-up ties cosine in controlled runs",
        "mixed",
        "LoRA Without Regret, QLoRA",
        "R-062",
    ),
    _row(
        "R-064",
        "weight decay",
        "0 for few-shot and LoRA; 0.01-0.1 optional for full fine-tuning",
        "mixed",
        "arXiv 2305.16938 scripts, CompAn notebooks",
    ),
    _row(
        "R-069",
        "classification with n <= 1k and a sensible pattern (shown with encoder models)",
        "pattern and verbalizer beat a new classification head: AG News, 10 examples, 87.5 against 25.0",
        "strong",
        "arXiv 2001.07676 (PET)",
        "R-070",
    ),
    _row(
        "R-070",
        "small decoder, acceptability",
        "a head above the prompted variant at 16-64 a class",
        "folklore",
        f"{COMPAN} (their pattern variant keeps a random head; 1-2 distinct runs)",
        "R-069",
    ),
    _row(
        "R-071",
        "pattern-based tuning",
        "train several patterns; ensemble them or choose on validation",
        "mixed",
        "PET, LM-BFF, arXiv 2305.16938",
        "R-013",
    ),
    _row(
        "R-072",
        "verbalizer",
        "one token for each label in the model's own tokenizer, written after a space; check for collisions",
        "strong",
        "PET, arXiv 2305.16938 scripts",
    ),
    _row(
        "R-081",
        "decoder up to 350M, acceptability or inference, n <= 128 a class",
        "expect no better than the majority class, and say so",
        "strong",
        f"{COMPAN}; a replication on MNLI/HANS",
    ),
    _row(
        "R-128",
        "small n",
        "stop early on validation, never on training loss; keep the best state",
        "mixed",
        f"{SURVEY} section 5.4",
        "R-067",
    ),
    _row(
        "R-129",
        "n below about 10k",
        "at least 3 seeds, 5 preferred; few-shot: different data seeds",
        "strong",
        "arXiv 2002.06305, LM-BFF, PET, SetFit",
    ),
    _row(
        "R-131",
        "seeds reported",
        "prove that they differ: the published '10 runs' were 1-2 distinct ones",
        "strong",
        f"{COMPAN}",
    ),
    _row(
        "R-132",
        "any classification",
        "keep majority and zero-shot rows; MCC or macro-F1 where unbalanced",
        "strong",
        "arXiv 2305.16938 metric code",
    ),
    _row("R-136", "tiny test sets", "intervals: 50 items carry 14 points of noise", "strong", "binomial arithmetic"),
    _row(
        "R-137",
        "validation in few-shot work",
        "disjoint, class-balanced, counted in the label budget",
        "mixed",
        "LM-BFF data script",
    ),
    _row(
        "R-138",
        "strict forgetting budget",
        "LoRA of low rank forgets less than full fine-tuning",
        "strong",
        "arXiv 2405.09673",
        "R-037",
    ),
    _row(
        "R-144",
        "16-bit LoRA does not fit",
        "LoRA on a base in nf4 with double quantisation, bf16 arithmetic",
        "strong",
        "arXiv 2305.14314 (QLoRA)",
        "R-031",
    ),
    _row(
        "R-145",
        "16-bit LoRA fits",
        "prefer 16 bit: 4 bit costs time and up to one point",
        "mixed",
        "Vereonix table, Lightning",
        "R-031",
    ),
    _row(
        "R-147",
        "quality of QLoRA",
        "as good as 16 bit in its paper, 0.7 points less at a vendor's: measure it",
        "mixed",
        "arXiv 2305.14314, Vereonix table",
    ),
    _row("R-146", "reduced precision", "bf16, not fp16", "strong", "QLoRA repository"),
    _row(
        "M-001",
        "135M decoder, pattern + LoRA r=8, AG News, 32 labels",
        "60 steps of 8 at 5e-4 give 0.76; a head as many steps 0.70, a head 3 epochs 0.42; zero-shot 0.61",
        "local",
        "tests/bench/agnews.py",
    ),
    _row(
        "M-002",
        "135M decoder, AG News, 32 labels",
        "TF-IDF with logistic regression gives 0.51 in a second: it belongs into every table",
        "local",
        "tests/bench/agnews.py",
    ),
    _row(
        "M-004",
        "AG News 32 labels, SICK 63 labels; logistic regression on frozen features",
        "the base's states and a 22M sentence encoder's match or beat tuned small decoders, in seconds",
        "local",
        "tests/bench/probes.py",
    ),
    _row(
        "M-003",
        "processor with bf16 products",
        "bf16 trains 1.4 to 1.9 times as fast as fp32",
        "local",
        "tests/bench/step.py",
    ),
)

EVIDENCE: dict[str, Evidence] = {row.id: row for row in ROWS}

GIVEN: dict[str, str] = {
    "pin": "the spec",
    "fact": "measured facts",
    "budget": "the spec's limits and the cost model",
    "design": "fewtune's own rule",
}
"""What can decide besides evidence -> its source."""

RULE_SET = f"1-{fingerprint('rules', [row.model_dump(mode='json') for row in ROWS])[:8]}"
"""Version and content of the evidence, part of the plan's hash."""
