"""Does the comparison find a small effect of known size, with the paper's t-test at the paper's size?

    python benchmarks/paired_tests.py               # 1,045 recordings, 5,225 captions, five runs a method
    python benchmarks/paired_tests.py --clips 100 --effect 3

Two methods are made up as scores of all captions for all recordings. Those of wrong recordings are standard normal;
that of the right one is normal, with parts that belong to the recording, the caption, the recording under this method,
the run, and nothing else. So a rank is binomial given the right one's score, the expected mAP@10 is an integral over
that score, and a method's mean score is solved for the mAP@10 that it shall have. The scores are ranked by
`evaluation.metrics`, written as runs, and read and tested by what `audio-relevance compare` uses; SciPy gets the AP@10
from a plain count of the same scores, which are in no file.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize, stats
from timing import command_line, machine, timed

from evaluation.embedding_pool import EmbeddingPool
from evaluation.evaluator import evaluate
from experiments.comparison.paired_tests import compare_experiments
from experiments.comparison.text import conclusion, lines_of
from experiments.results.experiment import read_experiments
from experiments.results.query_table import query_tables, write_queries
from experiments.run_folder import RunFolder

Floats = npt.NDArray[np.float64]

CAPTIONS = 5  # of each recording
CLIP, CAPTION, CLIP_AND_METHOD, RUN, NOISE = 0.8, 0.8, 0.3, 0.02, 0.4  # standard deviations of a right score's parts
SPREAD = float(np.sqrt(CLIP**2 + CAPTION**2 + CLIP_AND_METHOD**2 + RUN**2 + NOISE**2))
TOLERANCE = 1e-9


def expected_map(mean: float, clips: int) -> float:
    """Expected mAP@10 of right scores N(mean, SPREAD^2) among those of clips - 1 wrong recordings, N(0, 1)."""
    score = mean + SPREAD * np.linspace(-8, 8, 4001)  # (G,)
    weight = stats.norm.pdf(score, mean, SPREAD)
    above = np.arange(min(10, clips))[:, None]  # wrong recordings ahead of the right one
    precision = (stats.binom.pmf(above, clips - 1, stats.norm.sf(score)) / (above + 1)).sum(axis=0)  # (G,)
    return float((weight * precision).sum() / weight.sum())


def mean_for(target: float, clips: int) -> float:
    return float(optimize.brentq(lambda mean: expected_map(mean, clips) - target, -10, 20))


def make_scores(mean: float, shared: Floats, method: Floats, generator: np.random.Generator) -> Floats:
    """Scores (C, A) of one run; `shared` (C,) are the captions' and recordings' parts, `method` (A,) the method's."""
    clips = len(method)
    right = np.arange(len(shared)) // CAPTIONS
    scores = generator.standard_normal((len(shared), clips), dtype=np.float32)
    noise = NOISE * generator.standard_normal(len(shared)) + RUN * generator.standard_normal()
    scores[np.arange(len(shared)), right] = mean + shared + method[right] + noise
    return scores.astype(np.float64)


def write_run(folder: Path, scores: Floats) -> None:
    """Rank both ways as a test does, by embeddings: a caption's scores, and one axis for each recording."""
    captions, clips = scores.shape
    right = torch.arange(captions) // CAPTIONS
    names = [f"{clip:05}.wav" for clip in range(clips)]
    texts = [f"caption {row % CAPTIONS} of {names[row // CAPTIONS]}" for row in range(captions)]
    pool = EmbeddingPool.of_texts(torch.eye(clips), names, torch.from_numpy(scores).float(), texts, right)
    metadata = {"split": "test", "manifest_sha256": "made up"}
    write_queries(RunFolder(folder).queries("test"), query_tables(evaluate("test", pool.in_order())), metadata)


def plain_ap(scores: Floats) -> Floats:
    right = scores[np.arange(len(scores)), np.arange(len(scores)) // CAPTIONS]
    ranks = 1 + (scores > right[:, None]).sum(axis=1)
    return np.asarray(np.where(ranks <= 10, 1 / ranks, 0), dtype=np.float64)


def main(arguments: list[str] | None = None) -> int:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=1045)
    parser.add_argument("--runs", type=int, default=5, help="of each method")
    parser.add_argument("--map", type=float, default=28.2, help="expected mAP@10 of the baseline in %%")
    parser.add_argument("--effect", type=float, default=1.0, help="what the other method has more, in points")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    generator = np.random.default_rng(options.seed)
    captions = CAPTIONS * options.clips
    shared = CLIP * generator.standard_normal(options.clips).repeat(CAPTIONS) + CAPTION * generator.standard_normal(
        captions
    )
    print(f"{options.clips:,} recordings, {captions:,} captions, {options.runs} runs a method")
    print(machine())
    seconds, plain = {}, {}
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        for name, points in (("baseline", options.map), ("method", options.map + options.effect)):
            mean, aps = mean_for(points / 100, options.clips), []
            own = CLIP_AND_METHOD * generator.standard_normal(options.clips)
            for run in range(options.runs):
                scores = make_scores(mean, shared, own, generator)
                write_run(Path(root, name, str(run)), scores)
                aps.append(plain_ap(scores))
            plain[name] = np.mean(aps, axis=0)
        seconds["making, ranking, writing"] = time.perf_counter() - start
        seconds["reading"], experiments = timed(lambda: read_experiments([Path(root, name) for name in plain]))
    seconds["all tests, 10,000 sign flips twice"], (test,) = timed(lambda: compare_experiments(experiments))

    print(*lines_of(test, 1), conclusion([test]), sep="\n")
    scipy = stats.ttest_rel(plain["method"], plain["baseline"])
    found = test.over_queries
    apart = abs(found.t - float(scipy.statistic))
    print(f"\n  t({found.df:.0f}): ours {found.t:.12f}, SciPy's {scipy.statistic:.12f}, apart {apart:.1e}")
    print(f"  p: ours {found.p:.9e}, SciPy's {scipy.pvalue:.9e}")
    error = float(np.sqrt(np.nansum([test.uncertainty.se_queries**2, test.uncertainty.se_seeds**2])))
    print(
        f"  effect: planted {options.effect:+.3f} points, found {100 * found.difference:+.3f} "
        f"± {100 * error:.3f} (standard error from recordings and runs)"
    )
    for name, taken in seconds.items():
        print(f"  {taken:7.2f} s  {name}")
    agree = apart < TOLERANCE and found.df == captions - 1
    if not agree:
        print("ours and SciPy's differ", file=sys.stderr)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
