"""Does a model tell a caption from its twin? Shares, their intervals, and what chance gives.

For a recording a with caption c, a twin caption c', and where there is one a recording a' that c' describes:

    text    share of s(a, c) > s(a, c'), and of s(a', c') > s(a', c) where there is an a': which caption fits?
    audio   share of s(a, c) > s(a', c) and of s(a', c') > s(a, c'): which recording fits?

A tie counts half, as a guess would be right in half of the cases, and ties are reported beside. So a scorer that cannot
see the difference gets 50 % for the right reason. With both recordings, a scorer that prefers one caption whatever it
hears gets exactly 50 % too.

Without a' there is a control: `text` once more, with a recording that neither caption is of. What a model gains there
it gains without listening, since a twin may be an odd sentence.

    CompA (Ghosh et al. 2024, after Winoground) asks for both at once, strictly, a tie is wrong:
    text    s(a, c) > s(a, c')  and  s(a', c') > s(a', c)
    audio   s(a, c) > s(a', c)  and  s(a', c') > s(a, c')
    group   all four

By chance, the four scores are independent with one continuous distribution, so that all their 24 orders are equally
likely. Text and audio are each two comparisons of disjoint pairs: 1/2 * 1/2 = 1/4. Group says that the two scores of
what belongs together are the highest two of four: 2! * 2! / 4! = 1/6. A scorer that cannot see the difference is not
independent in this sense: it ties, and gets 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.errors import RelevanceError
from evaluation.ranking import retrieval_metrics
from evaluation.scores import Scores
from evaluation.significance import cluster_means, paired_t_test

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ROUNDING = 1e-6
"""Scores closer than this, relative to the larger one or to 1, are tied: fp32 knows no more of a cosine."""
KS = (1, 5, 10)
TEXT, AUDIO, CONTROL = "text", "audio", "text, other recording"
COMPA_CHANCE = {"CompA text": 1 / 4, "CompA audio": 1 / 4, "CompA group": 1 / 6}
MEASURES = (TEXT, CONTROL, AUDIO, *COMPA_CHANCE, *(f"R@{k}" for k in KS), *(f"R@{k} change" for k in KS))
"""In the order of tables and figures."""


@dataclass(frozen=True)
class TwinScores:
    """Scores of T captions and their twins, each (T,) float64.

    Attributes:
        own: s(a, c).
        text: s(a, c').
        clusters: (T,) int64; captions of one recording share a number, they are not independent.
        audio: s(a', c); None where there are no twin recordings.
        both: s(a', c'); likewise.

    Raises:
        RelevanceError: unequal lengths, none, NaN or inf, or only one of `audio` and `both`.
    """

    own: Floats
    text: Floats
    clusters: Ints
    audio: Floats | None = None
    both: Floats | None = None

    def __post_init__(self) -> None:
        given = [each for each in (self.own, self.text, self.audio, self.both) if each is not None]
        if len(given) == 3 or any(each.shape != self.clusters.shape for each in given) or self.clusters.ndim != 1:
            shapes = ", ".join(str(each.shape) for each in (*given, self.clusters))
            raise RelevanceError(f"scores of twins and their clusters are {shapes}: give (T,) of all, two or four")
        if not len(self.own) or not all(np.isfinite(each).all() for each in given):
            raise RelevanceError("scores of twins are empty or hold NaN or inf: look for a diverged model")


@dataclass(frozen=True)
class Share:
    """A share, or a difference of shares, of n comparisons, as fractions of 1.

    Attributes:
        measure: what was counted.
        value: the share.
        low, high: its 95 % interval.
        chance: what chance gives; NaN for a difference.
        ties: share of the comparisons that are tied, and count half; NaN where a tie is wrong.
        n: comparisons, captions or pairs.
    """

    measure: str
    value: float
    low: float
    high: float
    chance: float
    ties: float
    n: int


def told_apart(scores: TwinScores) -> list[Share]:
    """The shares text and, where there are twin recordings, audio.

    >>> one = np.zeros(1, np.int64)
    >>> [(share.measure, share.value) for share in told_apart(TwinScores(np.ones(1), np.ones(1), one))]
    [('text', 0.5)]
    """
    credit = _credit(scores.own, scores.text)
    if scores.audio is None or scores.both is None:
        return [share_of(TEXT, credit, scores.clusters, 0.5)]
    twice = np.concatenate([scores.clusters, scores.clusters])
    text = np.concatenate([credit, _credit(scores.both, scores.audio)])
    audio = np.concatenate([_credit(scores.own, scores.audio), _credit(scores.both, scores.text)])
    return [share_of(TEXT, text, twice, 0.5), share_of(AUDIO, audio, twice, 0.5)]


def control(scores: TwinScores) -> Share:
    """The share text of scores with other recordings: a = any that is not of the caption."""
    return replace(told_apart(scores)[0], measure=CONTROL)


def compa(scores: TwinScores) -> list[Share]:
    """CompA's text, audio and group scores.

    Raises:
        RelevanceError: there are no twin recordings.
    """
    if scores.audio is None or scores.both is None:
        raise RelevanceError("CompA's scores need the twins' recordings: give the scores of all four pairs")
    text = (scores.own > scores.text) & (scores.both > scores.audio)
    audio = (scores.own > scores.audio) & (scores.both > scores.text)
    counted = zip(COMPA_CHANCE.items(), (text, audio, text & audio), strict=True)
    return [share_of(name, right, scores.clusters, chance, ties=False) for (name, chance), right in counted]


def recalls(scores: Scores, caption_audio: Ints) -> dict[str, Floats]:
    """R@1, R@5 and R@10 of each caption (C,), whose recording's row is given; ties at their expected rank."""
    ranked = retrieval_metrics(scores, np.arange(len(caption_audio)), caption_audio, ks=KS).per_query
    return {f"R@{k}": ranked[f"R@{k}"] for k in KS}


def recall_shares(found: Mapping[str, Floats], caption_audio: Ints, pool: int) -> list[Share]:
    """The means of `recalls` of one form of the captions; by chance k of the pool's N items."""
    return [
        share_of(name, found[name], caption_audio, min(1.0, k / pool), ties=False) for k in KS for name in (f"R@{k}",)
    ]


def recall_differences(
    changed: Mapping[str, Floats], original: Mapping[str, Floats], caption_audio: Ints
) -> list[Share]:
    """R@k of changed captions minus that of the originals in the same pool, paired, with t intervals over recordings.

    Oncescu et al. 2024: a model that uses the order of events loses where the order is changed.
    """
    shares = []
    for name in original:
        pairs = [cluster_means(each[name], caption_audio) for each in (changed, original)]
        value = float(np.mean(changed[name] - original[name]))
        test = paired_t_test(*pairs)
        half = (test.interval[1] - test.interval[0]) / 2
        shares.append(Share(f"{name} change", value, value - half, value + half, np.nan, np.nan, len(caption_audio)))
    return shares


def share_of(measure: str, credit: npt.ArrayLike, clusters: Ints, chance: float, *, ties: bool = True) -> Share:
    """The mean of credits (n,) in [0, 1], with Wilson's interval at the effective number of comparisons."""
    values = np.asarray(credit, np.float64)
    low, high = wilson(float(values.mean()), effective_number(values, clusters))
    tied = float((values == 0.5).mean()) if ties else np.nan
    return Share(measure, float(values.mean()), low, high, chance, tied, len(values))


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of n independent trials (Wilson 1927); n may be broken.

    >>> tuple(round(bound, 4) for bound in wilson(0.5, 10))
    (0.2366, 0.7634)
    """
    z = float(stats.norm.ppf(0.975))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    return max(0.0, centre - half), min(1.0, centre + half)


def effective_number(values: Floats, clusters: Ints) -> float:
    """How many independent trials vary as much as these n, some of which share a cluster: at most n.

    n over the design effect, the ratio of the mean's variance between clusters to that of independent trials, as in
    Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data". Where nothing varies, it is the number of clusters.
    """
    n, mean = len(values), float(values.mean())
    deviations = np.bincount(np.unique(clusters, return_inverse=True)[1], values - mean)  # (K,)
    count = len(deviations)
    variance = count / max(1, count - 1) * float((deviations**2).sum()) / n**2
    alone = mean * (1 - mean) / n
    if count == 1 or variance <= ROUNDING * max(alone, 1 / n**2):
        return float(count)
    return float(min(n, n * alone / variance))


def _credit(better: Floats, worse: Floats) -> Floats:
    """1, 0, or 1/2 for a tie, of each comparison (T,)."""
    scale = np.maximum(1.0, np.maximum(np.abs(better), np.abs(worse)))
    difference = better - worse
    return np.where(np.abs(difference) <= ROUNDING * scale, 0.5, (difference > 0).astype(np.float64))
