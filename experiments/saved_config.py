"""The settings that a run was made with, as its folder holds them."""

from pathlib import Path
from typing import Any

from common.errors import RunError
from common.renamed import with_new_names
from common.text import one_line
from common.unique_keys import parse_yaml

CUT_OFF = (
    "ends in the middle of a line, so it was cut off; restore it from a copy, or repeat the run (if it is whole, end "
    "its last line)"
)
KINDS: dict[str, type | tuple[type, ...]] = {
    "trainer": dict,
    "run": dict,
    "model_class": str,
    "data": dict,
    "data.init_args": dict,
    "data.init_args.max_seconds": (int, float),
    "data.init_args.mix": str,
}
"""What a run writes under keys that are read without a parser's checks, outermost first; null stands for none."""


def read_saved_config(path: Path) -> dict[str, Any]:
    """A run's resolved config, under today's names.

    Raises:
        RunError: it cannot be read, is cut off, or holds something else under a key of `KINDS`.
    """
    try:
        text = path.read_text(encoding="utf-8")
        config = with_new_names(parse_yaml(text))
    except ValueError as error:
        raise RunError(f"{path}: not YAML ({one_line(error)[:200]}); repeat the run") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise RunError(
            f"{path}: no settings of a model in it, so it is damaged or of something else; give the folder of a "
            "run of `python train.py fit`, or repeat the run"
        )
    if not text.endswith("\n"):
        raise RunError(f"{path}: {CUT_OFF}")
    for key, kind in KINDS.items():
        value: Any = config
        for name in key.split("."):
            value = None if value is None else value.get(name)
        if value is not None and not isinstance(value, kind):
            raise RunError(
                f"{path}: {key} is {value!r}, which no run writes; restore it from a copy, or repeat the run"
            )
    return config
