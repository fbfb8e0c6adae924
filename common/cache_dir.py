"""The folder of everything that can be computed or downloaded again."""

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """`$AUDIO_RELEVANCE_CACHE`, else `audio-relevance` in the user's cache folder."""
    if chosen := os.environ.get("AUDIO_RELEVANCE_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "audio-relevance"
