"""InfoNCE."""

from relevance.objectives.base import Directions, Objective


class InfoNCE(Objective):
    """InfoNCE (NT-Xent): ListNet's formula on binary relevance, rows normalised, so equal audios are all positives.

    Use with `SameAudio`. Like `ListNet` with `omega=None`, but in both directions by default.

    Args:
        direction: "text_to_audio", "audio_to_text", or "both", their mean.
        tau: temperature of the prediction. Far below 0.05 only the hardest negative of a query counts, and a wrong
            label costs most; near 1 cosines, which differ by 2 at most, cannot tell items apart, and the loss stays
            near log N.
        learn_tau: train tau, in the log, beginning at `tau`.

    Relations: take `ListNet` where other recordings fit a caption partly, `MaxMargin` where batches are small or
    negatives should stop to count once they are beaten by a margin.
    """

    citation = 'van den Oord et al. 2018, "Representation learning with contrastive predictive coding"'
    bibtex = (
        "@misc{oord2018representation, title={Representation learning with contrastive predictive coding}, "
        "author={van den Oord, Aaron and Li, Yazhe and Vinyals, Oriol}, eprint={1807.03748}, archivePrefix={arXiv}, "
        "year={2018}}"
    )

    def __init__(self, direction: Directions = "both", tau: float = 0.05, learn_tau: bool = False) -> None:
        super().__init__(direction, tau, None, learn_tau)
