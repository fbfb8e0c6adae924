"""Targets beside predictions: what a batch's queries should find, and what the model finds for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import xlogy

from common.directions import TEXT_TO_AUDIO, Direction
from evaluation.embedding_pool import batches_of_captions
from evaluation.evaluator import Evaluation
from experiments.figures.style import new_figure, shortened
from relevance.objectives.base import target_distribution

LOWEST = 1e-3  # of the colour scale, which is always the same so that pictures of several epochs can be compared
NAMED_ROWS = 48  # more captions than that are too small to read


def draw_targets_beside_predictions(
    targets: npt.ArrayLike, predictions: npt.ArrayLike, captions: Sequence[str] = (), title: str = ""
) -> Any:
    """A matplotlib figure of P (Q, N) beside Q (Q, N), on one logarithmic colour scale from 0.001 to 1.

    Its title gives the cross-entropy H(P, Q), which is the loss of Xie et al. 2024 (eq. 4), the entropy H(P), the least
    loss that any model can have, and their difference, the Kullback-Leibler divergence; means over queries, in nats.

    Args:
        targets: P, each row a distribution over items, e.g. softmax(relevance / omega).
        predictions: Q, the same of softmax(scores / tau).
        captions: Q names for the rows.
        title: a line above.

    Raises:
        ValueError: the two differ in shape, or `captions` are not as many as rows.

    >>> P, Q = np.eye(2), np.full((2, 2), 0.5)
    >>> print(draw_targets_beside_predictions(P, Q).get_suptitle())
    cross-entropy H(P, Q) 0.693 nats, entropy H(P) 0.000, difference 0.693
    """
    from matplotlib.colors import LogNorm

    P, Q = np.asarray(targets, np.float64), np.asarray(predictions, np.float64)  # (Q, N)
    if P.shape != Q.shape or P.ndim != 2 or len(captions) not in (0, len(P)):
        raise ValueError(
            f"targets {P.shape}, predictions {Q.shape} and {len(captions)} captions do not fit together; "
            "give two matrices of one shape, and one caption a row or none"
        )
    figure = new_figure(14, 5.9)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, values, name in zip(axes, (P, Q), ("Targets P", "Predictions Q"), strict=True):
        image = panel.imshow(values.clip(LOWEST, 1), norm=LogNorm(LOWEST, 1), cmap="magma")
        panel.set(title=name, xlabel="item")
    axes[0].set_ylabel("query")
    if 0 < len(captions) <= NAMED_ROWS:
        axes[0].set_yticks(range(len(captions)))
        axes[0].set_yticklabels([shortened(text, 52) for text in captions], fontsize=7, parse_math=False)
        axes[0].set_ylabel("")
    scale = figure.colorbar(image, ax=axes, extend="min", format="%g", shrink=0.9)
    scale.set_label("probability of an item, given the query (log scale)")
    if LOWEST < 1 / P.shape[1] < 1:
        scale.ax.axhline(1 / P.shape[1], color="white")  # what chance gives every item
        scale.ax.text(-0.2, 1 / P.shape[1], "1/N", ha="right", va="center", transform=scale.ax.get_yaxis_transform())
    crossed, entropy = _nats(P, Q), _nats(P, P)
    facts = f"cross-entropy H(P, Q) {crossed:.3f} nats, entropy H(P) {entropy:.3f}, difference {crossed - entropy:.3f}"
    figure.suptitle("\n".join(line for line in (title, facts) if line), parse_math=False)
    return figure


@torch.no_grad()
def heat_maps(model: Any, evaluation: Evaluation, title: str = "") -> dict[Direction, Any]:
    """A figure of targets beside predictions for each direction of a model's objective.

    They are of one batch of the evaluation, whose pool has captions: the first `loss_batch` recordings, each with its
    first caption.
    """
    pool, objective = evaluation.pool, model.objective
    if not objective.is_listwise:
        return {}  # it has no distributions to draw
    rows = next(batches_of_captions(pool, model.loss_batch))  # (B,)
    ids = pool.caption_ids[rows]
    scores = evaluation.scores.select(rows, pool.caption_audio[rows]).block(slice(None), slice(None))  # (B, B)
    texts = [pool.captions[row] for row in rows.tolist()]
    figures = {}
    for direction in objective.directions:
        directed = scores if direction == TEXT_TO_AUDIO else scores.T
        targets = target_distribution(model.relevance(ids, ids, direction), objective.omega)
        predictions = torch.softmax(directed.double() / float(objective.tau), dim=1)
        what = f"{direction.replace('_', ' ')}, the first {len(ids)} validation recordings"
        heading = f"{title}: {what}" if title else what
        figures[direction] = draw_targets_beside_predictions(targets.cpu(), predictions.cpu(), texts, heading)
    return figures


def _nats(P: npt.NDArray[np.float64], Q: npt.NDArray[np.float64]) -> float:
    """Mean over rows of -sum_j P_j log Q_j."""
    return float(-xlogy(P, Q).sum(axis=1).mean()) + 0.0  # not -0
