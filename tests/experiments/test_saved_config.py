"""A saved config that somebody changed by hand."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import RunError
from experiments.saved_config import read_saved_config


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": 3}, "data is 3"),
        ({"data": {"init_args": [1]}}, "data.init_args is [1]"),
        ({"data": {"init_args": {"max_seconds": "x"}}}, "data.init_args.max_seconds is 'x'"),
        ({"data": {"init_args": {"mix": 7}}}, "data.init_args.mix is 7"),
        ({"model_class": 3}, "model_class is 3"),
        ({"trainer": "fast"}, "trainer is 'fast'"),
    ],
)
def test_a_key_that_holds_something_else_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = tmp_path / "config_fit.yaml"
    whole = {"model": {}, "data": {"init_args": {"max_seconds": None, "mix": "mean"}}, "trainer": {}, "run": None}
    path.write_text(yaml.safe_dump(whole))
    assert read_saved_config(path) == whole
    path.write_text(yaml.safe_dump({**whole, **changed}))
    with pytest.raises(RunError) as caught:
        read_saved_config(path)
    assert str(caught.value) == f"{path}: {message}, which no run writes; restore it from a copy, or repeat the run"
