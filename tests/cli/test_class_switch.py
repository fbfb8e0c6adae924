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


class Data:
    """The base of data sets: it declares what they share."""

    def __init__(self, *, size: int = 32, order: str = "any", seconds: float = 30.0) -> None:
        """Nothing."""


class Wide(Data):
    """One that passes everything on."""

    def __init__(self, root: str = "wide", **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Short(Data):
    """One with a folder and a default of its own."""

    def __init__(self, root: str = "short", *, seconds: float = 10.0, **kwargs: Any) -> None:
        super().__init__(seconds=seconds, **kwargs)


class Ordered(Data):
    """One that decides an option itself."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(order="given", **kwargs)


def switched_data(*arguments: str) -> dict[str, Any]:
    """The settings after arguments, of which the last chooses another class."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Data, "data")
    init_args: dict[str, Any] = parser.parse_args(list(arguments)).data.init_args.as_dict()
    return init_args


def switched() -> Any:
    """The direction where `First` with its direction is the default, and `Second` is chosen."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Objective, "objective")
    parser.set_defaults({"objective": {"class_path": f"{__name__}.First", "init_args": {"direction": "text_to_audio"}}})
    return parser.parse_args([f"--objective={__name__}.Second"]).objective.init_args.direction


def test_a_class_begins_with_its_own_defaults() -> None:
    assert switched() == "both"


def test_settings_of_the_base_that_both_have_are_kept() -> None:
    given = ("--data.size=64", "--data.order=one", "--data.root=mine", "--data.seconds=5")
    before = (f"--data={__name__}.Wide", *given)
    assert switched_data(*before, f"--data={__name__}.Wide") == {
        "root": "mine",
        "size": 64,
        "order": "one",
        "seconds": 5.0,
    }
    # Its own folder and length are defaults again, and what was given before is what both call the same.
    assert switched_data(*before, f"--data={__name__}.Short") == {
        "root": "short",
        "size": 64,
        "order": "one",
        "seconds": 10.0,
    }
    short = (f"--data={__name__}.Short", *given)
    assert switched_data(*short, f"--data={__name__}.Wide")["seconds"] == 30.0


def test_what_the_new_class_decides_itself_is_dropped() -> None:
    before = (f"--data={__name__}.Wide", "--data.size=64", "--data.order=one")
    assert switched_data(*before, f"--data={__name__}.Ordered") == {"size": 64, "seconds": 30.0}


def test_the_patch_is_still_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonargparse._typehints, class_switch.NAME, class_switch.original)
    assert switched() == "text_to_audio", "jsonargparse forgets former settings by itself now: delete the patch"


def test_a_version_without_the_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(jsonargparse._typehints, class_switch.NAME)
    with pytest.raises(ImportError, match=r"^jsonargparse [\d.]+ has no discard_init_args_on_class_path_change"):
        class_switch.install()
