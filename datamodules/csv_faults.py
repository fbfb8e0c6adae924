"""What usually went wrong with a csv file that is not as it should be: spreadsheets, cuts, stray quotes."""

import re
from collections.abc import Sequence

from common.text import is_utf8

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
EMPTY = frozenset(
    ("nan", "n/a", "#n/a", "na", "<na>", "null", "none", "nil", "undefined", "#name?", "#value!", "#ref!")
)
"""What programs write, in any case, for a cell without a value, or with one that they could not compute."""


def utf_16(content: bytes) -> bool:
    """Whether bytes are text in UTF-16, as some spreadsheets save it: every other byte of most of it is zero."""
    return content[:2] in (b"\xff\xfe", b"\xfe\xff") or content[:200].count(0) > len(content[:200]) // 4


def separator_hint(first_line: str) -> str | None:
    """The remedy where a first line has other separators than commas; None where it has not.

    >>> separator_hint("file_name;caption_1;caption_2")
    'it is separated by semicolons; save it separated by commas'
    """
    if first_line.strip().casefold().startswith("sep="):
        return f"its first line '{first_line.strip()}' is a spreadsheet's own; delete it, and separate by commas"
    for character, name in SEPARATORS.items():
        if first_line.count(character) > first_line.count(","):
            return f"it is separated by {name}; save it separated by commas"
    return None


def header_hint(header: Sequence[str], wanted: str, first_line: str) -> str:
    """The remedy where a header has no column `wanted`."""
    if hint := separator_hint(first_line):
        return hint
    for name in header:
        plain = name.removeprefix("\ufeff").removeprefix("ï»¿").strip().strip("\"'").casefold()
        if plain.replace(" ", "_") == wanted.casefold():
            return f"it is written {name!r}; write '{wanted}' in the first line"
    return "get the file again"


def swallowed_row(cell: str, columns: int) -> bool:
    """Whether a cell continues over the end of a line into what looks like another row of as many columns.

    >>> swallowed_row("A dog barks,b,c\\nrain.wav,A drop falls,", 3)
    True
    >>> swallowed_row("A dog barks.\\nThen it rains, softly.", 3)
    False
    """
    return any(
        line.count(",") >= max(columns - 1, 1) or re.match(r"[^,]+\.(wav|flac|ogg|opus|mp3)\"?,", line, re.IGNORECASE)
        for line in re.split(r"[\r\n]+", cell)[1:]
    )


def caption_fault(text: str) -> str | None:
    """Why a text that is not empty is no caption; None where it may be one.

    >>> caption_fault("N/A"), caption_fault("\\u200b"), caption_fault("Nan sings.")
    ("is 'N/A', as programs write for an empty cell", 'holds no words', None)
    """
    if text.casefold() in EMPTY:
        return f"is '{text}', as programs write for an empty cell"
    if not is_utf8(text):
        return "is not UTF-8"
    return None if any(character.isalnum() for character in text) else "holds no words"


def id_fault(text: str) -> str | None:
    """Why a text cannot be an id or a part of a file's name; None where it may be one.

    >>> id_fault("#NAME?"), id_fault("1E+05"), id_fault("../x"), id_fault("-bb_b")
    ('was lost in a spreadsheet', 'was lost in a spreadsheet', 'is not a plain name', None)
    """
    if text.casefold() in EMPTY or re.fullmatch(r"\d(\.\d+)?E\+\d+", text, re.IGNORECASE):
        return "was lost in a spreadsheet"
    plain = not any(character in "/\\" or not character.isprintable() for character in text)
    return None if plain and text not in (".", "..") else "is not a plain name"


def plain_number(text: str) -> str:
    """A whole number without the decimals that a spreadsheet gives it; other text as it is.

    >>> plain_number("30.0"), plain_number("12.5"), plain_number("30")
    ('30', '12.5', '30')
    """
    return re.sub(r"^(\d+)\.0+$", r"\1", text)
