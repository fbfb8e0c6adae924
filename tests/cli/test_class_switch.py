"""The patch of jsonargparse is needed, and fits the version that is installed."""

from dataclasses import dataclass
from typing import Any

import jsonargparse
import jsonargparse._typehints
import pytest

from cli import class_switch


class Objective:
    """A class with two subclasses that share a parameter with different defaults."""


@dataclass
class First(Objective):
    """One."""

    direction: str = "text_to_audio"


@dataclass
class Second(Objective):
    """The other."""

    direction: str = "both"


def switched() -> Any:
    """The direction where `First` with its direction is the default, and `Second` is chosen."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Objective, "objective")
    parser.set_defaults({"objective": {"class_path": f"{__name__}.First", "init_args": {"direction": "text_to_audio"}}})
    return parser.parse_args([f"--objective={__name__}.Second"]).objective.init_args.direction


def test_a_class_begins_with_its_own_defaults() -> None:
    assert switched() == "both"


def test_the_patch_is_still_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonargparse._typehints, class_switch.NAME, class_switch.original)
    assert switched() == "text_to_audio", "jsonargparse forgets former settings by itself now: delete the patch"


def test_a_version_without_the_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(jsonargparse._typehints, class_switch.NAME)
    with pytest.raises(ImportError, match=r"^jsonargparse [\d.]+ has no discard_init_args_on_class_path_change"):
        class_switch.install()
