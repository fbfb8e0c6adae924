"""JSON and YAML whose tables have each key once, against the usual parsers."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.unique_keys import KeyGivenTwiceError, parse_json, parse_yaml

PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii", categories=["L", "N"]))
CONTENT = st.recursive(PLAIN, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=8)


@given(CONTENT)
def test_what_has_no_key_twice_is_read_as_ever(content: Any) -> None:
    assert parse_json(json.dumps(content)) == content
    assert parse_yaml(yaml.safe_dump(content)) == content


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_json, '{"a": 1, "b": {"c": 1, "c": 2}}', "the key c twice"),
        (parse_yaml, "a: 1\nb:\n  - {c: 1, d: 2}\n  - {c: 1,\n     c: 2}", "the key c twice (again in line 5)"),
        (parse_yaml, "a: &x {k: 1}\nb: *x\na: 2", "the key a twice (again in line 3)"),
    ],
)
def test_a_key_given_twice_is_refused(parse: Any, text: str, message: str) -> None:
    with pytest.raises(KeyGivenTwiceError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("number", "meant"), [("010", 8), ("-0_17", -15), ("007", 7), ("1:30", 90), ("1:12:00:00", 259200)]
)
def test_a_number_to_another_base_is_refused(number: str, meant: int) -> None:
    assert yaml.safe_load(number) == meant
    with pytest.raises(ValueError, match=f"line 2: {number} is {meant} to YAML; write {meant}, or '{number}' in"):
        parse_yaml(f"a: 1\nb: [{number}]")


def test_other_numbers_and_texts_in_quotes_are_read() -> None:
    content = "[0, 10, 1_000, 0x10, 1.50, 09, '010', 00:01:00:00, 2024-01-01]"
    assert parse_yaml(content) == yaml.safe_load(content)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "a: " + "9" * 5000, "a: !!python/name:os.system x"])
def test_what_is_neither_is_refused(text: str) -> None:
    for parse in (parse_json, parse_yaml):
        with pytest.raises(ValueError, match=r"\w"):
            parse(text)


def test_aliases_of_aliases_are_read_in_a_moment() -> None:
    lines = ["a0: &a0 [x]", *(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(30))]
    assert len(parse_yaml("\n".join(lines))["a30"]) == 9
