"""Parameters of a sweep file: the values or the range of each setting, and checks of what a file holds."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.text import nearest_name

RANGES = {
    "int_uniform": "whole numbers from min to max",
    "uniform": "numbers from min to max",
    "q_uniform": "multiples of q from min to max",
    "log_uniform_values": "numbers from min to max, uniform in their logarithm",
}

MOST = 10_000
"""Trials of a sweep, and values of a parameter."""


@dataclass(frozen=True)
class Parameter:
    """What a setting may be: one of `values`, or a number of the range `low` .. `high`."""

    values: tuple[Any, ...] = ()
    distribution: str = "categorical"
    low: float = 0.0
    high: float = 0.0
    q: float = 1.0

    @property
    def steps(self) -> tuple[Any, ...]:
        """All values there are, empty where they are a continuum: multiples of q are whole where q is."""
        if self.values or self.distribution in ("uniform", "log_uniform_values"):
            return self.values
        first, last = math.ceil(self.low / self.q), math.floor(self.high / self.q)
        return tuple(i * self.q for i in range(first, last + 1))

    @property
    def examples(self) -> tuple[Any, ...]:
        """What a check should try: all values, or the ends of the range and its middle."""
        return self.values or (self.steps and (self.steps[0], self.steps[-1])) or (self.low, self.high, self.middle)

    @property
    def middle(self) -> float:
        """A value inside a range."""
        return (
            math.sqrt(self.low * self.high)
            if self.distribution == "log_uniform_values"
            else self.low / 2 + self.high / 2
        )

    def draw(self, rng: np.random.Generator) -> Any:
        """A random value."""
        if steps := self.steps:
            return steps[int(rng.integers(len(steps)))]
        if self.distribution == "log_uniform_values":
            drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(drawn, self.low), self.high)
        return float(rng.uniform(self.low, self.high))


def parameter_of(key: Any, given: Any) -> Parameter:
    """What a file says of one parameter.

    Raises:
        ValueError: it is not supported.
    """
    where = f"parameters.{key}"
    if isinstance(given, dict) and "parameters" in given:
        raise ValueError(f"{where} is nested: write one key with dots, such as model.objective.tau")
    check_table(given, where, {"value", "values", "distribution", "min", "max", "q"})
    if ("value" in given) + ("values" in given) + ("min" in given or "max" in given) != 1:
        raise ValueError(f"{where}: give one of value, values, or min and max")
    if "value" in given or "values" in given:
        values = [given["value"]] if "value" in given else given["values"]
        if given.get("distribution", "categorical") not in ("categorical", "constant"):
            raise ValueError(f"{where}: a distribution over a range wants min and max, not values")
        if not isinstance(values, list) or not values:
            raise ValueError(f"{where}.values is {values!r}: give a list with at least one value")
        read = [_as_read(value) for value in values]
        for value in values:
            if not isinstance(value, str | int | float | list | dict | None):
                raise ValueError(
                    f"{where}: {value!r} cannot be a value; give texts, numbers, true, false, null, lists or tables"
                )
            if isinstance(value, dict) and not all(isinstance(option, str) for option in value):
                raise ValueError(f"{where}: {value!r} cannot be a value; the keys of a table are options of train.py")
            if read.count(_as_read(value)) > 1:
                raise ValueError(f"{where}: {value!r} comes twice")
        return Parameter(values=tuple(values))
    low, high = given.get("min"), given.get("max")
    for name, number in (("min", low), ("max", high)):
        check_number(number, f"{where}.{name}", float)
    if not low < high:
        raise ValueError(f"{where}: min is {low} and max {high}; give min < max")
    whole = isinstance(low, int) and isinstance(high, int)
    distribution = given.get("distribution", "int_uniform" if whole else "uniform")
    if distribution not in RANGES:
        known = ", ".join(RANGES)
        raise ValueError(f"{where}.distribution is {distribution!r}{nearest_name(str(distribution), RANGES)}: {known}")
    if distribution == "log_uniform_values" and low <= 0:
        raise ValueError(f"{where}.min is {low}: a logarithm wants more than 0")
    if distribution == "int_uniform" and not whole:
        raise ValueError(f"{where}: int_uniform wants whole numbers for min and max")
    q = given.get("q", 1)
    check_number(q, f"{where}.q", float)
    if q <= 0 or ("q" in given and distribution != "q_uniform"):
        raise ValueError(f"{where}.q is {q}: a step above 0, with the distribution q_uniform")
    if distribution in ("int_uniform", "q_uniform") and (high - low) / q > MOST:
        raise ValueError(f"{where}: more than {MOST:,} values in the range; give a larger q, or uniform")
    parameter = Parameter(distribution=distribution, low=low, high=high, q=q)
    if distribution == "q_uniform" and not parameter.steps:
        raise ValueError(f"{where}: no multiple of {q} lies between {low} and {high}")
    return parameter


def _as_read(value: Any) -> Any:
    """A value as train.py will read it: YAML takes 5e-4 for a text, the command line for a number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def options_of(key: str, value: Any) -> list[tuple[str, Any]]:
    """The options that a value stands for: those of a table, else the one it is a value of."""
    return list(value.items()) if isinstance(value, dict) else [(key, value)]


def value_text(value: Any) -> str:
    """A value in a table or a figure.

    >>> value_text({"data.batch_size": 32, "model.optimizer.lr": 0.0003}), value_text(0.1)
    ('data.batch_size=32, model.optimizer.lr=0.0003', '0.1')
    """
    if isinstance(value, dict):
        return ", ".join(f"{key}={value_text(each)}" for key, each in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def table_of(content: dict[str, Any], key: str) -> dict[Any, Any]:
    """The table at a key; ValueError for anything else."""
    value = content.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{key} is {value!r}: give a table")
    return value


def check_table(value: Any, where: str, known: set[str]) -> None:
    """ValueError for anything but a table of known keys."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r}: give a table with keys such as {', '.join(sorted(known))}")
    for key in value:
        if key not in known:
            hint = nearest_name(str(key), known)
            raise ValueError(f"{where} has the unknown key '{key}'{hint}; there are: {', '.join(sorted(known))}")


def check_number(value: Any, where: str, kind: type, least: float | None = None) -> None:
    """ValueError for anything but a finite number of a kind, `least` or more."""
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not math.isfinite(value):
        hint = " (YAML reads 1e-5 as text: write 1.0e-5)" if isinstance(value, str) else ""
        raise ValueError(f"{where} is {value!r}: give a {'whole ' if kind is int else ''}number{hint}")
    if least is not None and value < least:
        raise ValueError(f"{where} is {value}: give at least {least}")


def text_of(value: Any, where: str) -> str:
    """The text itself; ValueError for anything else or an empty one."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} is {value!r}: give a text")
    return value
