"""The figure of a calibration: ratings, bins and the fitted curve."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.figures.style import BLUE, GREY, ORANGE, new_figure, without_frame
from relevance.calibration import PAPER, Calibration, Floats
from relevance.scoring import Logistic

BINS = 15


def curve(scoring: Logistic, similarity: Floats) -> Floats:
    """g (R,) float64 of h (R,)."""
    return np.asarray(1 / (1 + np.exp(scoring.intercept - scoring.slope * similarity)))


def draw(path: Path, found: Calibration, similarity: Floats, rating: Floats, title: str) -> None:
    """Ratings by h, their mean and middle half in bins of equal count, the fitted curve and the paper's."""
    figure = new_figure(8, 5.5)
    axes: Any = figure.subplots()
    jitter = np.random.default_rng(0).uniform(-0.01, 0.01, len(rating))  # ratings are whole per cents: else they hide
    axes.scatter(similarity, rating + jitter, s=5, color=GREY, alpha=0.3, linewidths=0, label="a rating")
    bins = [part for part in np.array_split(np.argsort(similarity), BINS) if len(part)]
    centre, mean = (np.array([values[part].mean() for part in bins]) for values in (similarity, rating))
    low, high = np.array([np.quantile(rating[part], (0.25, 0.75)) for part in bins]).T
    axes.vlines(centre, low, high, color=BLUE, linewidth=4, alpha=0.35, label="middle half of a bin")
    axes.plot(centre, mean, "o", color=BLUE, label="mean of a bin")
    line = np.linspace(min(0.0, similarity.min()), 1, 200)
    axes.plot(line, curve(found.scoring, line), color=BLUE, label=f"fit: {found}")
    paper = Calibration(PAPER.intercept, PAPER.slope, (0, 0), (0, 0), 0, 0)
    axes.plot(line, curve(PAPER, line), "--", color=ORANGE, label=f"Xie et al. 2024: {paper}")
    axes.set(xlabel="similarity h of query and captions", ylabel="rating, relevance g", ylim=(-0.03, 1.03))
    axes.set_title(title, parse_math=False, fontsize=9)
    without_frame(axes)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=130)
