"""Names of capabilities that later versions bring, each answered by ``E-not-yet``.

The published schema holds only what runs. A name in this table is refused with a sentence that says so, and with
what does a similar job today; an unknown name is refused as a misspelling.
"""

TASKS: dict[str, str] = {
    "regression": "a number for a text; today: classification into ranges",
}
"""Task types for later -> what they are."""

KEYS: dict[str, str] = {
    "quantization": "a quantised base for every arm; today: the methods with qlora",
    "target": "planning for another machine's device profile",
}
"""Top-level tables for later -> what they are."""

METHODS: dict[str, str] = {
    "unipelt": "several adaptations in one, with gates between them",
}
"""Adaptations and formulations for later -> what they are."""
