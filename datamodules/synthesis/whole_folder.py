"""A folder of rendered files that is whole or not there."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from common.errors import DataError

MARKER = "corpus.json"
"""What holds the arguments that a corpus was rendered with."""


def render_once(root: Path, arguments: Mapping[str, Any], render: Callable[[Path], None]) -> None:
    """Render a corpus to `root`, unless the one of these arguments is there already.

    Everything is rendered beside `root` and then renamed. Of processes that render the same root at once the first to
    finish wins. A killed one leaves only a hidden folder `.NAME.*.part` beside `root`, which may be deleted.

    Args:
        root: absolute; it may exist if it is empty or holds this corpus.
        arguments: what decides the corpus, for JSON; kept in `MARKER`.
        render: fills a folder that exists.

    Raises:
        DataError: `root` holds something else, or cannot be written.
    """
    if _is_finished(root, arguments):
        return
    part = root.parent / f".{root.name}.{uuid4().hex[:8]}.part"
    try:
        part.mkdir(parents=True)
        render(part)
        (part / MARKER).write_text(json.dumps(arguments, indent=2) + "\n", encoding="utf-8")
        _publish(part, root, arguments)
    except OSError as error:
        raise DataError(
            f"{root}: the corpus cannot be written ({error}); free the disk or choose another root"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_finished(root: Path, arguments: Mapping[str, Any]) -> bool:
    """Whether `root` holds this very corpus; False where nothing is there yet.

    Raises:
        DataError: Something else is there.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{root}: holds something else than a synthetic corpus; give a new or an empty folder as root")
    if found != arguments:
        differing = [
            f"{key} {found.get(key)} instead of {value}" for key, value in arguments.items() if found.get(key) != value
        ]
        raise DataError(
            f"{root}: holds another synthetic corpus ({'; '.join(differing)}); delete it or give another root"
        )
    return True


def _publish(part: Path, root: Path, arguments: Mapping[str, Any]) -> None:
    try:
        os.replace(part, root)
    except OSError:
        if not _is_finished(root, arguments):  # else another process was faster, with the same bytes
            raise
