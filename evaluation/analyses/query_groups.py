"""Groups of queries by what they say: length, form, events, connectives, negation, rarity of words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError
from evaluation.analyses.query_text import (
    CONNECTIVES,
    FORMS,
    connectives_of,
    content_words,
    events_said,
    form_of,
    is_negated,
    words_of,
)

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LENGTHS = (4, 8, 12, 16)
"""Words at most of each group by length but the last."""
MOST_EVENTS = 4
RARITIES = 4
"""Groups by the rarest word, of about as many queries each."""


@dataclass(frozen=True)
class Grouping:
    """Queries by one property. Groups are in order; a query may be in several (connectives) or in none.

    Attributes:
        property: what the queries are grouped by.
        groups: by name, which of the Q queries are in it, (Q,). No group is empty.
    """

    property: str
    groups: dict[str, Bools]


def group_queries(
    queries: Sequence[str], reference: Sequence[str] | None = None, events: Ints | None = None
) -> list[Grouping]:
    """Groupings of Q queries by all properties in which they differ: a single group of all is left out.

    Args:
        queries: Q texts.
        reference: texts that say how frequent words are, such as training captions; default: the queries themselves.
        events: (Q,) the known number of events in each query's recording; None: not known.

    Raises:
        RelevanceError: no queries, or another number of events.
    """
    if not queries or (events is not None and len(events) != len(queries)):
        raise RelevanceError(f"{len(queries)} queries, events of {0 if events is None else len(events)}: give as many")
    said = np.array([events_said(query) for query in queries])
    groupings = [
        Grouping("words", by_length(queries)),
        Grouping("form", _by_name([[form_of(query)] for query in queries], FORMS)),
        Grouping("events said", by_count(said)),
        *([] if events is None else [Grouping("events known", by_count(events))]),
        Grouping("connective", _by_name([connectives_of(q) or ["none"] for q in queries], (*CONNECTIVES, "none"))),
        Grouping("negation", _by_name([["yes" if is_negated(q) else "no"] for q in queries], ("no", "yes"))),
        Grouping("rarest word", by_rarity(rarest_counts(queries, reference if reference is not None else queries))),
    ]
    return [grouping for grouping in groupings if not all(inside.all() for inside in grouping.groups.values())]


def by_length(queries: Sequence[str]) -> dict[str, Bools]:
    """Groups by the number of words.

    >>> list(by_length(["a dog barks", "a dog barks while heavy rain falls on a roof"]))
    ['1-4', '9-12']
    """
    lengths = np.array([len(words_of(query)) for query in queries])
    lows = [0, *(end + 1 for end in LENGTHS)]
    names = [f"{max(low, 1)}-{high}" for low, high in zip(lows, LENGTHS, strict=False)] + [f"{lows[-1]} or more"]
    place = np.searchsorted(LENGTHS, lengths)
    return _filled({name: place == i for i, name in enumerate(names)})


def by_count(counts: Ints) -> dict[str, Bools]:
    """Groups by a number of events (Q,).

    >>> list(by_count(np.array([1, 7, 2])))
    ['1', '2', '4 or more']
    """
    names = [*map(str, range(1, MOST_EVENTS)), f"{MOST_EVENTS} or more"]
    place = np.clip(counts, 1, MOST_EVENTS)
    return _filled({name: place == i for i, name in enumerate(names, 1)})


def document_counts(texts: Iterable[str]) -> Counter[str]:
    """In how many texts each word is."""
    return Counter(word for text in texts for word in set(words_of(text)))


def rarest_counts(queries: Sequence[str], reference: Sequence[str]) -> Ints:
    """In how many reference texts the rarest content word of each query is, (Q,) int64; 0: a word is in none.

    A query without any content word has the number of reference texts.

    >>> rarest_counts(["a dog barks", "the yodel"], ["a dog", "a dog barks", "dogs"])
    array([1, 0])
    """
    counts = document_counts(reference)
    most = len(reference)
    return np.array([min((counts[w] for w in content_words(query)), default=most) for query in queries], dtype=np.int64)


def by_rarity(counts: Ints) -> dict[str, Bools]:
    """Groups by the count of the rarest word (Q,): "never", then about equally large ones named by their counts.

    Equal counts are never torn apart, so there may be fewer groups.

    >>> list(by_rarity(np.array([0, 1, 2, 2, 9, 9, 40, 41, 900])))
    ['never', 'in 1-2', 'in 9', 'in 40', 'in 41-900']
    """
    groups = {"never": counts == 0}
    seen = counts[counts > 0]
    if len(seen):
        cuts = np.unique(np.quantile(seen, np.arange(1, RARITIES) / RARITIES, method="lower"))
        place = np.searchsorted(cuts, counts)
        for i in range(len(cuts) + 1):
            inside = (place == i) & (counts > 0)
            if inside.any():
                low, high = counts[inside].min(), counts[inside].max()
                groups[f"in {low}" if low == high else f"in {low}-{high}"] = inside
    return _filled(groups)


def _by_name(names: Sequence[Sequence[str]], order: Sequence[str]) -> dict[str, Bools]:
    return _filled({name: np.array([name in each for each in names]) for name in order})


def _filled(groups: dict[str, Bools]) -> dict[str, Bools]:
    return {name: inside for name, inside in groups.items() if inside.any()}
