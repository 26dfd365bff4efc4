"""Where fewtune keeps things on this machine."""

import os
from collections.abc import Iterable
from pathlib import Path


def cache_folder() -> Path:
    """Models and data that were fetched: $FEWTUNE_CACHE, or the user's cache folder."""
    given = os.environ.get("FEWTUNE_CACHE")
    if given:
        return Path(given)
    from platformdirs import user_cache_path  # a bare machine that only trains has none

    return user_cache_path("fewtune")


def embedded_folder() -> Path:
    """The converted embedded model, in the Hugging Face layout."""
    return cache_folder() / "models" / "smollm2-135m-instruct"


def encoder_folder() -> Path:
    """The embedded sentence encoder, in the Hugging Face layout."""
    return cache_folder() / "models" / "all-minilm-l6-v2"


def is_below(path: Path, roots: Iterable[Path]) -> bool:
    """Whether a path lies in one of some folders, links resolved."""
    place = path.resolve()
    return any(place.is_relative_to(root.expanduser().resolve()) for root in roots)


def workspace_folder(given: Path | None) -> Path:
    """The workspace: the option, $FEWTUNE_WORKSPACE, or ./.fewtune."""
    return given or Path(os.environ.get("FEWTUNE_WORKSPACE", ".fewtune"))
