"""The full option that a misspelt or shortened one was meant to be."""

import difflib
from collections.abc import Iterable
from typing import Any

from common.class_defaults import class_named, parameters_of

OTHER_NAMES = {
    "learning_rate": "lr",
    "epochs": "max_epochs",
    "steps": "max_steps",
    "gpus": "devices",
    "num_gpus": "devices",
    "seed": "seed_everything",
    "workers": "num_workers",
    "checkpoint_path": "ckpt_path",
    "data_root": "root",
}
"""What other programs call a setting, by the last word of an option."""


def options_of(parser: Any) -> list[str]:
    """Every option of a parser in full: its own, those of its subcommands, and those of the classes it has by default.

    >>> from jsonargparse import ArgumentParser
    >>> parser = ArgumentParser()
    >>> _ = parser.add_argument("--run.root")
    >>> "run.root" in options_of(parser)
    True
    """
    options: dict[str, None] = {}
    for action in parser._actions:
        if isinstance(action.choices, dict):
            options |= {option: None for inner in action.choices.values() for option in options_of(inner)}
        elif action.option_strings:
            options |= {f"{action.dest}{inside}": None for inside in ("", *_settings_of(action.default))}
    return list(options)


def _settings_of(default: Any) -> list[str]:
    """The settings of a class that is an option's default, each with a dot before it, and those of classes inside."""
    if not (hasattr(default, "get") and isinstance(default.get("class_path"), str)):
        return []
    return [f".{name}" for name in parameters_of(class_named(default["class_path"]))]


def meant_options(wrong: str, options: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    """What an unknown option may have meant: options in full with the same or the nearest last word, two at most.

    Args:
        wrong: the option, without dashes.
        options: those there are.
        others: last words that are known besides, of which the options in full are not.

    >>> meant_options("model.lr", ["model.optimizer.lr", "model.schedule"])
    ['--model.optimizer.lr']
    >>> meant_options("epochs", ["trainer.max_epochs", "model.optimizer.eps"])
    ['--trainer.max_epochs']
    >>> meant_options("omgea", ["data.root"], others=["omega"])
    ['omega']
    """
    by_word: dict[str, list[str]] = {}
    for option in options:
        by_word.setdefault(option.rpartition(".")[2], []).append(option)
    word = wrong.rpartition(".")[2]
    word = OTHER_NAMES.get(word, word) if "." not in wrong or word not in by_word else word
    close = difflib.get_close_matches(word, {*by_word, *others}, n=1, cutoff=0.6)
    if not close:
        return []
    if close[0] not in by_word:
        return close
    found = by_word[close[0]]
    near = [option for option in found if option.partition(".")[0] == wrong.partition(".")[0]] or found
    least = min(option.count(".") for option in near)
    return [f"--{option}" for option in near if option.count(".") == least][:2]
