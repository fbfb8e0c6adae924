"""The hygiene report in Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from retrieval.hygiene.checks import Compared, Heard, Hygiene, PoolCaptions

QUANTILES = (0.5, 0.95, 0.99)
TITLE = """\
# Hygiene report

Made by `audio-relevance leaks`. A recording is known by its origin, such as its id at Freesound or YouTube.
"""
NO_LEAKS = "No origin is in two splits, as far as origins are known.\n"
HEARD = """\
*Said* is what is published of the data set's splits in the model's training. *Heard* are test recordings whose origin
is in a split that is published as training data and was given to this report. *May be heard* are those from a source
that the training data are from too: whether they are among them is not published.
"""
CAPTIONS = """\
*Shared* are queries whose text another recording of the pool has too. A model gives them one ranking, so the recordings
share their ranks, and no model can exceed the *best R@k* from text to audio. *Alike* also counts texts that differ in
case or punctuation only. *In training*: captions that a training recording of the data set has, letter by letter.
"""
AUDIO = """\
Pairs whose embeddings have a cosine similarity of {threshold:g} or more. Look at the quantiles of the nearest
recording's similarity before a threshold is trusted: models differ in what they call similar.
"""


def hygiene_report(found: Hygiene, most: int = 20) -> str:
    """The report; of long lists the first entries, with the number of all.

    Args:
        found: what was checked.
        most: entries of a list that are shown.
    """
    sections = [TITLE]
    if found.sizes:
        rows = [
            (size.split, _count(size.recordings), _count(size.captions), _count(size.known)) for size in found.sizes
        ]
        sections += ["## Data sets\n", _table(("split", "recordings", "captions", "of known origin"), rows, words=())]
        sections += ["## Recordings in two splits\n", *_leaks(found, most)]
    if found.heard:
        sections += ["## Pretrained models\n", HEARD, _heard(found.heard)]
    if found.captions:
        sections += ["## Equal captions\n", CAPTIONS, _captions(found.captions)]
    if found.compared:
        sections += ["## Near-duplicate audio\n", AUDIO.format(threshold=found.threshold)]
        sections += [_compared(found.compared), *_pairs(found.compared, most)]
    return "\n".join(sections)


def _leaks(found: Hygiene, most: int) -> Iterable[str]:
    by_splits = defaultdict(list)
    for leak in found.leaks:
        by_splits[leak.seen, leak.evaluated].append(leak)
    if not by_splits:
        yield NO_LEAKS
        return
    yield _table(
        ("trained on, or chosen by", "evaluated on", "origins", "recordings evaluated"),
        [
            (*splits, _count(len(leaks)), _count(sum(len(leak.evaluated_names) for leak in leaks)))
            for splits, leaks in by_splits.items()
        ],
    )
    for (seen, evaluated), leaks in by_splits.items():
        yield f"{seen} and {evaluated}{_first(len(leaks), most)}:\n"
        yield "".join(
            f"- {code(leak.origin)}: {', '.join(map(code, leak.seen_names))} and "
            f"{', '.join(map(code, leak.evaluated_names))}\n"
            for leak in leaks[:most]
        )


def _heard(heard: Sequence[Heard]) -> str:
    rows = [
        (
            *(code(each.model), each.split, _count(each.recordings), each.said or "not named", _count(each.known)),
            ", ".join(f"{_count(count)} from {source}" for source, count in each.possible.items()) or "0",
        )
        for each in heard
    ]
    return _table(("model", "test split", "of known origin", "said", "heard", "may be heard"), rows, words=(1, 3, 5))


def _captions(pools: Sequence[PoolCaptions]) -> str:
    ks = list(pools[0].found.best_recall)
    rows = [
        (
            *(pool.split, _count(pool.found.queries), _count(pool.found.shared), _count(pool.found.texts)),
            *(_count(pool.found.alike), *(f"{100 * pool.found.best_recall[k]:.2f} %" for k in ks)),
            _count(pool.in_training),
        )
        for pool in pools
    ]
    best = [f"best R@{k}" for k in ks]
    return _table(("pool", "queries", "shared", "different texts", "alike", *best, "in training"), rows, words=())


def _compared(compared: Sequence[Compared]) -> str:
    rows = [
        (
            *each.sides,
            *(_count(each.found.found), _count(each.found.concerned), _count(len(each.second.names))),
            *(f"{value:.3f}" for value in np.quantile(each.found.nearest, QUANTILES)),
        )
        for each in compared
    ]
    quantiles = [f"nearest, {100 * q:g} %" for q in QUANTILES]
    return _table(("recordings of", "and of", "pairs", "of the second in one", "of", *quantiles), rows)


def _pairs(compared: Sequence[Compared], most: int) -> Iterable[str]:
    for each in compared:
        if not each.found.found:
            continue
        yield f"{' and '.join(each.sides)}{_first(each.found.found, most)}:\n"
        rows = zip(each.found.pairs[:most].tolist(), each.found.cosine[:most].tolist(), strict=True)
        yield "".join(
            f"- {cosine:.4f}: {code(each.first.names[i])} and {code(each.second.names[j])}\n" for (i, j), cosine in rows
        )


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (1,)) -> str:
    """A table in Markdown, figures to the right; `words` are the columns of words beside the first."""
    right = ["---" if column in (0, *words) else "---:" for column in range(len(headers))]
    lines = [[" ".join(text.splitlines()).replace("|", r"\|") for text in row] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headers, right, *lines))


def code(text: str) -> str:
    r"""A name as code, in one line, whatever is in it.

    >>> code("a.wav"), code("a`b\nc")
    ('`a.wav`', '`` a`b c ``')
    """
    text = " ".join(text.splitlines())
    ticks = "``" if "`" in text else "`"
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _first(count: int, most: int) -> str:
    return f" (the first {most} of {count:,})" if count > most else ""
