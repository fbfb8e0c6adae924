"""ListNet."""

from relevance.objectives.base import Directions, Objective


class ListNet(Objective):
    """ListNet on graded relevance: P = softmax(g / omega), Q = softmax(s / tau) (Xie et al. 2024).

    Args:
        direction: "text_to_audio" ranks the audios of a batch for each caption (the paper's ListNet_audio),
            "audio_to_text" the captions for each audio (ListNet_text), "both" takes the mean.
        tau: temperature of the prediction. Far below 0.05 the gradient comes from the few best scored items alone; near
            1 cosines, which differ by 2 at most, cannot become as peaked as the target.
        omega: temperature of the target; null divides rows by their sum, as the threshold and steep targets want. Far
            below 0.05 the target is one-hot, and graded relevance is lost (as in `InfoNCE`); near 1 it is almost
            uniform, and nothing is learned from it.
        learn_tau: train tau, in the log, beginning at `tau`.

    Relations: take `InfoNCE` where relevance is binary, `MaxMargin` where only the order of items matters and not how
    relevant they are.
    """

    citation = 'Xie et al. 2024, "Text-based audio retrieval by learning from similarities between audio captions"'
    bibtex = (
        "@article{xie2024text, "
        "title={Text-based audio retrieval by learning from similarities between audio captions}, "
        "author={Xie, Huang and Khorrami, Khazar and Räsänen, Okko and Virtanen, Tuomas}, "
        "journal={IEEE Signal Processing Letters}, year={2024}}"
    )

    def __init__(
        self,
        direction: Directions = "text_to_audio",
        tau: float = 0.05,
        omega: float | None = 0.05,
        learn_tau: bool = False,
    ) -> None:
        super().__init__(direction, tau, omega, learn_tau)
