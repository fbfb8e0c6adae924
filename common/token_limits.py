"""Texts that are longer than what a model reads of them: counted, since models cut them without a word."""

from collections.abc import Callable, Sequence
from typing import Any

BYTES_A_TOKEN = 2  # texts with fewer bytes for each token of the limit are not looked at: none is as dense as that
CHUNK = 4096


def count_cut(texts: Sequence[str], tokenizer: Callable[..., Any], limit: int) -> int:
    """How many of these texts have more than `limit` tokens, those at their beginning and end included.

    Args:
        texts: any number; equal ones count each.
        tokenizer: a Hugging Face tokenizer.
        limit: tokens that a model takes.
    """
    long = [text for text in texts if len(text.encode(errors="replace")) > BYTES_A_TOKEN * limit]
    return sum(
        len(ids) > limit
        for begin in range(0, len(long), CHUNK)
        for ids in tokenizer(long[begin : begin + CHUNK], truncation=False, verbose=False)["input_ids"]
    )
