"""Messages in one line."""

import difflib
import errno
import os
import re
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors that say that a disk or a quota is full."""


def nearest_name(wrong: str, known: Iterable[str]) -> str:
    """A hint at the known name nearest to a wrong one, empty where none is near.

    >>> nearest_name("omgea", ["tau", "omega"])
    "; did you mean 'omega'?"
    """
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def one_line(error: BaseException) -> str:
    """The message of an error; of one that a data worker sent, the original message without the worker's traceback.

    >>> one_line(ValueError("Caught X in worker.\\nOriginal Traceback:\\n  ...\\nerrors.DataError: a.wav: is empty\\n"))
    'a.wav: is empty'
    """
    text = str(error).strip()
    if "Original Traceback" in text:
        text = re.sub(r"^[\w.]+: ", "", text.splitlines()[-1])
    return " ".join(text.split())


def cause_of(error: BaseException, most: int = 200) -> str:
    """The beginning of an error's message in one line, or its kind where it has none.

    >>> cause_of(ValueError("no such\\n  file")), cause_of(ValueError())
    ('no such file', 'ValueError')
    """
    return " ".join(str(error).split())[:most] or type(error).__name__


def first_of(names: Iterable[str], most: int = 20) -> str:
    """The first names of a list that may be long, for a message; "none" where it is empty.

    >>> first_of(["a", "b", "c"], 2), first_of([])
    ('a, b, ...', 'none')
    """
    listed = list(names)
    return ", ".join([*listed[:most], *["..."] * (len(listed) > most)]) or "none"


def given_twice(items: Iterable[Item], key: Callable[[Item], Hashable] = lambda item: item) -> Item | None:
    """The first item whose key an earlier one has; None where all differ.

    >>> given_twice(["a", "b", "a"]), given_twice(["a", "A"]), given_twice(["a", "A"], str.lower)
    ('a', None, 'A')
    """
    seen: set[Hashable] = set()
    for item in items:
        if key(item) in seen:
            return item
        seen.add(key(item))
    return None


def refused_by_system(error: OSError) -> str:
    """What the system refused and of which file, in one line; with TRACEBACK set in the environment it is raised."""
    if os.environ.get("TRACEBACK"):
        raise error
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or one_line(error)}{remedy_of(error)} (TRACEBACK=1 shows where)"


def remedy_of(error: OSError) -> str:
    """What helps where the system refuses a file, after "; "; empty where the cause says it.

    >>> remedy_of(FileExistsError(errno.EEXIST, "File exists"))
    '; a file is where a folder is to be: choose another folder'
    """
    number = error.errno
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "; change its permissions, or choose another folder"
    if number in (errno.EEXIST, errno.ENOTDIR):
        return "; a file is where a folder is to be: choose another folder"
    if number == errno.EISDIR:
        return "; a folder is where a file is to be: choose another name"
    return "; make room there, or choose another folder" if number in NO_ROOM else ""


def query_fault(query: str) -> str | None:
    r"""Why a text cannot be searched for; None where it can.

    >>> query_fault(" \u200b"), query_fault("dog\udcff"), query_fault("dog")
    ('is empty', 'is not UTF-8', None)
    """
    if not is_utf8(query):
        return "is not UTF-8"
    seen = any(character.isprintable() and not character.isspace() for character in query)
    return None if seen else "is empty"


def is_utf8(text: str) -> bool:
    r"""Whether a text can be written: JSON may hold halves of surrogate pairs, the command line any bytes.

    >>> is_utf8("dog\udcff"), is_utf8("日")
    (False, True)
    """
    return text.encode("utf-8", "ignore").decode() == text
