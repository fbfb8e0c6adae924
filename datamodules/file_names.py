"""Recordings looked for by the names that annotations give them, as archives and file systems have changed them."""

import logging
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

SHOWN = 5


def plain_form(name: str) -> str:
    """What stays of a name whatever unpacks it: letters composed (NFC), single blanks, none at the ends.

    >>> plain_form(" cafe\\u0301  2.wav") == "caf\\u00e9 2.wav"
    True
    """
    return " ".join(unicodedata.normalize("NFC", name).split())


def respelled(missing: Iterable[str], unclaimed: Iterable[str]) -> dict[str, str]:
    """Which of the `unclaimed` files are meant by names that are `missing`: those of one form, where they are single.

    >>> respelled([" street.wav", "a b.wav", "a  b.wav"], ["street.wav", "a b .wav"])
    {' street.wav': 'street.wav'}
    """
    files, names = defaultdict(list), defaultdict(list)
    for file in unclaimed:
        files[plain_form(file)].append(file)
    for name in missing:
        names[plain_form(name)].append(name)
    return {
        wanted[0]: files[form][0]
        for form, wanted in names.items()
        if len(wanted) == 1 and len(files.get(form, [])) == 1
    }


def find_files(folder: Path, names: Sequence[str], annotations: Path) -> list[Path | None]:
    """The file in `folder` of each name, None where there is none; says what was matched under another spelling.

    Also says which recordings no name is of: where `annotations` was cut off, they are lost in silence otherwise.
    """
    with os.scandir(folder) as entries:
        there = {entry.name for entry in entries if entry.is_file()}
    others = sorted(there.difference(names))
    matched = respelled((name for name in names if name not in there), others) if others else {}
    if matched:
        pairs = [f"'{name}' as '{file}'" for name, file in list(matched.items())[:SHOWN]]
        log.warning(
            "%s: %d recordings are spelled otherwise than in the annotations, and taken: %s",
            folder,
            len(matched),
            _some(pairs, len(matched)),
        )
    taken = set(matched.values())
    warn_of_unmentioned(folder, [file for file in others if file not in taken], annotations)
    return [folder / name if name in there else folder / matched[name] if name in matched else None for name in names]


def warn_of_unmentioned(folder: Path, files: Sequence[str], annotations: Path) -> None:
    """Say which audio files no row of the annotations is of."""
    from datamodules.audio_folder import AUDIO_ENDINGS

    audio = [name for name in files if name.lower().endswith(AUDIO_ENDINGS) and not name.startswith(".")]
    if audio:
        log.warning(
            "%s: %d recordings are in no row of %s, and not used: %s; is it whole?",
            folder,
            len(audio),
            annotations,
            _some([f"'{name}'" for name in audio[:SHOWN]], len(audio)),
        )


def warn_of_same(split: str, names: Sequence[str], places: Sequence[tuple[Path | None, object]]) -> None:
    """Say which recordings of a split are the same part of the same file: each would be a wrong answer for the other.

    Args:
        split: of the recordings.
        names: of the recordings.
        places: file, None where there is none, and part of it, of each.
    """
    first: dict[tuple[Path | None, object], str] = {}
    pairs = [
        f"'{other}' and '{name}'"
        for name, place in zip(names, places, strict=True)
        if place[0] is not None and (other := first.setdefault(place, name)) != name
    ]
    if pairs:
        log.warning(
            "%d recordings of the %s split are there under two names, of which one counts as wrong where the other is "
            "right: %s; give both the same name",
            len(pairs),
            split,
            _some(pairs[:SHOWN], len(pairs)),
        )


def _some(shown: Sequence[str], count: int) -> str:
    return ", ".join(shown) + (", ..." if count > len(shown) else "")
