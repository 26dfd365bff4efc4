"""What a linear layer of a block does, by its name in transformers."""

from collections.abc import Iterable
from typing import Literal

Role = Literal["keys", "values", "attention-out", "mlp-out"]
ROLES: dict[Role, tuple[str, ...]] = {
    "keys": ("k_proj", "query_key_value", "qkv_proj"),
    "values": ("v_proj", "query_key_value", "qkv_proj"),
    "attention-out": ("o_proj", "out_proj", "dense"),
    "mlp-out": ("down_proj", "fc2", "dense_4h_to_h"),
}
"""Role -> names; some models compute queries, keys and values in one layer."""

BEHIND: dict[str, tuple[Role, ...]] = {"houlsby": ("attention-out", "mlp-out"), "pfeiffer": ("mlp-out",)}
"""Placement of bottleneck adapters -> the layers that they stand behind."""


def names_of(known: Iterable[str], *roles: Role) -> tuple[str, ...]:
    """The layers with these roles, each once; empty where a role has none.

    >>> names_of(["q_proj", "o_proj", "down_proj"], "attention-out", "mlp-out")
    ('o_proj', 'down_proj')
    """
    there = set(known)
    found = [[name for name in ROLES[role] if name in there] for role in roles]
    return tuple(dict.fromkeys(names[0] for names in found)) if all(found) else ()
