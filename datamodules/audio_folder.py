"""Which audio files lie in a folder and those below it, found by their names."""

import os
from pathlib import Path

AUDIO_ENDINGS = (".flac", ".wav", ".ogg", ".opus", ".mp3")


def audio_by_stem(folder: Path) -> dict[str, Path]:
    """Every audio file at any depth below `folder`, by its name without the ending.

    Of two files with one stem the one whose ending comes first in `AUDIO_ENDINGS` is taken, then the first path in
    alphabetical order, so that the choice does not depend on the file system.
    """
    found: dict[str, tuple[int, str]] = {}
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() in AUDIO_ENDINGS:
                candidate = (AUDIO_ENDINGS.index(ending.lower()), os.path.join(parent, name))
                found[stem] = min(found.get(stem, candidate), candidate)
    return {stem: Path(path) for stem, (_, path) in found.items()}
