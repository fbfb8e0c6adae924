"""The interface of regularisers, and the list of those that a model has."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from common.errors import ModelError
from common.numbers import check_numbers
from lightning_modules.distributed import gather_with_gradient
from relevance.objectives.base import Objective

Side = Literal["audio", "text"]


class Embedded(NamedTuple):
    """A training batch as the matcher embeds it, over all devices, with gradients.

    Attributes:
        audio, text: one vector of each of B pairs' recording and caption (B, D) float32; of several kinds of numbers
            (`Matcher.vectors`) the sizes may differ.
        audio_again, text_again: the same once more with other random draws, where a regulariser asks for it.
    """

    audio: Tensor
    text: Tensor
    audio_again: Tensor | None = None
    text_again: Tensor | None = None


def embedded_by_all(
    vectors: Callable[[Tensor], Tensor],
    audio: Tensor,
    text: Tensor,
    audio_again: Tensor | None = None,
    text_again: Tensor | None = None,
) -> Embedded:
    """What regularisers see, of what this rank embeds of b pairs (b, ...).

    Every rank then computes the same terms of the same W b pairs, whose gradients are averaged like those of the loss.

    Args:
        vectors: `Matcher.vectors`.
        audio, text, audio_again, text_again: what the matcher embeds.
    """

    def of_all(side: Tensor) -> Tensor:
        return gather_with_gradient(vectors(side))

    again = (None if side is None else of_all(side) for side in (audio_again, text_again))
    return Embedded(of_all(audio), of_all(text), *again)


class Regulariser(nn.Module):
    """A term that is added to the loss, `weight` times.

    Args:
        weight: of the term.

    Attributes:
        citation: where it comes from.
        again: sides that are to be embedded a second time.
        crop: share of a recording, a random stretch, that the second time hears; 1 is the whole.

    Raises:
        ModelError: the weight is negative.
    """

    citation: ClassVar[str] = ""
    again: frozenset[Side] = frozenset()
    crop: float = 1.0

    def __init__(self, weight: float) -> None:
        super().__init__()
        check_numbers(ModelError, f"model.regularisers: {type(self).__name__}", 0, weight=weight)
        self.weight = weight

    def check(self, objective: Objective) -> None:
        """Whether it goes with the objective.

        Raises:
            ModelError: it does not.
        """

    def forward(self, embedded: Embedded) -> Tensor | None:
        """The term, a scalar, without its weight; None where it has none."""
        raise NotImplementedError

    def after_step(self, objective: Objective) -> None:
        """What is done after each step of the optimiser."""


class Regularisers(nn.ModuleList):
    """The regularisers of a model, in their order.

    Raises:
        ModelError: two want to hear different shares of a recording the second time.
    """

    def __init__(self, parts: Sequence[Regulariser]) -> None:
        super().__init__(parts)
        self.parts = tuple(parts)
        self.again = frozenset(side for part in parts for side in part.again)
        crops = sorted({part.crop for part in parts if "audio" in part.again})
        if len(crops) > 1:
            raise ModelError(
                f"model.regularisers: crop is {crops[0]:g} and {crops[1]:g}; give one, since all look at the same "
                "second view"
            )
        self.crop = crops[0] if crops else 1.0
        kinds = [type(part).__name__ for part in parts]
        numbers = [kinds[:place].count(kind) for place, kind in enumerate(kinds)]
        self.titles = [f"{kind}_{number + 1}" if number else kind for kind, number in zip(kinds, numbers, strict=True)]

    def terms(self, embedded: Embedded) -> dict[str, tuple[float, Tensor]]:
        """Weight and value of each term, by the name of its class; further ones of a class have a number."""
        named = [(title, part.weight, part(embedded)) for title, part in zip(self.titles, self.parts, strict=True)]
        return {title: (weight, term) for title, weight, term in named if term is not None}

    def after_step(self, objective: Objective) -> None:
        """As `Regulariser.after_step`, of all."""
        for part in self.parts:
            part.after_step(objective)
