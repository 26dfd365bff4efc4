"""The sentence encoder that every classification is compared with: frozen, small, and carried by the package index."""

from fewtune.specs.frozen import Frozen


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
    name="all-MiniLM-L6-v2",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    parameters=22_713_216,
    block_parameters=10_616_832,
    max_tokens=256,
)
"""Sentence-BERT (arXiv 1908.10084) over MiniLM (arXiv 2002.10957): mean of the last layer's states, unit length."""
