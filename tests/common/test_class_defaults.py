"""Settings that came after a config was saved count as their defaults."""

import pytest

from common.class_defaults import class_named, defaults_of, with_later_settings

LISTNET = "relevance.objectives.ListNet"


def test_a_setting_that_is_missing_has_the_default_of_its_class() -> None:
    former = {"objective": {"class_path": LISTNET, "init_args": {"tau": 0.5}}}
    now = {"objective": {"class_path": LISTNET, "init_args": {"tau": 0.5, "direction": "both"}}}
    default = defaults_of(class_named(LISTNET))["direction"]
    settings = with_later_settings(former, now)["objective"]["init_args"]
    assert settings == {"tau": 0.5, "direction": default}
    assert default != "both"


def test_what_today_does_not_name_is_not_added_either() -> None:
    former = {"class_path": LISTNET}
    assert with_later_settings(former, {"class_path": LISTNET}) == former


def test_defaults_of_a_base_are_reached_through_kwargs() -> None:
    defaults = defaults_of(class_named("datamodules.Clotho"))
    assert defaults["root"] == "data/clotho"
    assert defaults["captions_per_epoch"] == "all"  # of AudioCaptionDataModule


def test_another_class_is_left_as_it_was() -> None:
    former = {"class_path": LISTNET, "init_args": {"tau": 0.5}}
    assert with_later_settings(former, {"class_path": "relevance.objectives.InfoNCE", "init_args": {"a": 1}}) == former


@pytest.mark.parametrize("former", [None, 3, [1, 2], "text"])
def test_plain_values_stay(former: object) -> None:
    assert with_later_settings(former, {"a": 1}) == former
