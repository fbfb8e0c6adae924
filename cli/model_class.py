"""The class of the model: `--model my_model.Mine`, or `class_path` under `model` in a config.

It is found before the parser is built, so that the keys under `model` are the arguments of that class, without
`init_args`: `--model my_model.Mine --model.own_setting 3`. A resolved config holds the class as `model_class`.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cli.config_files import bases_of, content_of, find_config, is_file, with_flat_model
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.model_class import model_class

DEEPEST = 20
"""Configs that build on each other: more do so in a circle, which the parser reports."""
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def class_as_flag(arguments: Sequence[str]) -> list[str]:
    """Arguments with the model's class under its own flag, and `init_args` left out.

    >>> class_as_flag(["fit", "--model=my_model.Mine", "--model.init_args.a", "1", "--model", "{a: 1}"])
    ['fit', '--model_class', 'my_model.Mine', '--model.a', '1', '--model', '{a: 1}']
    """
    changed: list[str] = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag in ("--model", "--model.class_path") and equals and _CLASS.fullmatch(value):
            changed += ["--model_class", value]
            continue
        if changed and changed[-1] in ("--model", "--model.class_path") and _CLASS.fullmatch(argument):
            changed[-1] = "--model_class"
        changed.append(re.sub(r"^--model\.init_args\.", "--model.", argument))
    return changed


def chosen_class(arguments: Sequence[str]) -> type[DualEncoder]:
    """The class of the model that arguments, as `class_as_flag` gives them, choose: of flags and configs the last one.

    What is wrong with a config is left to the parser to say.

    Raises:
        ModelError: there is no such class, or it is no DualEncoder.
    """
    path: str | None = None
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, given = flag.partition("=")
        if name in ("-c", "--config"):
            path = _class_in(given if equals else value) or path
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if flag.partition("=")[0] == "--model_class":
            path = flag.partition("=")[2] or value
    return model_class(path)


def _class_in(config: str, beside: Path | None = None, depth: int = 0) -> str | None:
    try:
        path = find_config(config, beside)
        folder = Path(path).parent if is_file(path) else None
        found = [_class_in(base, folder, depth + 1) for base in bases_of(path) if depth < DEEPEST]
        chosen = with_flat_model(content_of(path)).get("model_class")
    except (TypeError, OSError):
        return None
    return next((one for one in (chosen, *reversed(found)) if isinstance(one, str)), None)
