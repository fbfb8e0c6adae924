"""Whether numbers of a config are in range; NaN and infinity never are."""

import math
import re

from common.errors import UserError

HIGHEST_SEED = 2**32 - 1  # NumPy takes no higher one


def number_in(text: str) -> float:
    """The number that a cell of a file says, NaN where it says none; Python's `float` reads 1_0 and other digits too.

    >>> number_in(" -1.5e2 "), number_in("1_0"), number_in("inf")
    (-150.0, nan, nan)
    """
    plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", text.strip(), re.IGNORECASE)
    return float(text) if plain else math.nan


def check_numbers(
    error: type[UserError], owner: str, low: float, high: float = math.inf, /, **numbers: float | None
) -> None:
    """Whether numbers are finite and from `low` to `high`; None always is.

    Args:
        error: what to raise.
        owner: what the numbers belong to, for the message: a class, or the beginning of a key, such as "data.".
        low, high: the ends of the range, both in it.
        numbers: by name.

    Raises:
        UserError: one is not; as `error`.

    >>> check_numbers(UserError, "SmallCNN", 0, 1, dropout=0.5)
    """
    for name, value in numbers.items():
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            wanted = f"from {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            raise error(f"{owner}{'' if owner.endswith('.') else ': '}{name} is {value:g}; give a number {wanted}")
