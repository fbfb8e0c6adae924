"""What every objective and every kind of relevance says of itself."""

import inspect
import re

import pytest

from relevance import objectives, targets
from relevance.base import Relevance
from relevance.objectives import Objective, ScoreLoss

KINDS = [
    kind
    for room in (objectives, targets)
    for kind in (getattr(room, name) for name in room.__all__)
    if inspect.isclass(kind) and issubclass(kind, Objective | Relevance) and kind not in (Objective, ScoreLoss)
]


NO_SOURCE = targets.KnownRelevance
"""Reads what is known; nobody proposed it."""


def test_all_are_found() -> None:
    assert {kind.__name__ for kind in KINDS} >= {"InfoNCE", "ListNet", "MaxMargin", "SameAudio", "CaptionSimilarity"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_names_its_source_and_when_to_take_another(kind: type[Objective | Relevance]) -> None:
    assert kind is NO_SOURCE or re.fullmatch(r'.+ (19|20)\d\d, ".+"', kind.__dict__.get("citation", ""))
    relations = re.search(r"\n    Relations: (.+?)(\n\n|\n {4}$|$)", kind.__doc__ or "", re.DOTALL)
    assert relations is not None
    others = {other.__name__ for other in KINDS} - {kind.__name__}
    assert any(f"`{other}`" in relations[1] for other in others) or kind is targets.MixedTargets


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not NO_SOURCE])
def test_its_bibtex_entry_is_that_of_the_citation(kind: type[Objective | Relevance]) -> None:
    entry = re.fullmatch(
        r"@(article|inproceedings|misc)\{\w+, title=\{(.+?)\}, (author=.+), year=\{(\d+)\}\}", kind.bibtex
    )
    assert entry is not None
    assert kind.bibtex.count("{") == kind.bibtex.count("}")
    who, year, title = re.fullmatch(r'(.+) (\d+), "(.+)"', kind.citation).groups()  # type: ignore[union-attr]
    assert (entry[2], entry[4]) == (title, year)
    assert who.removesuffix(" et al.").split(" and ")[0] in entry[3]
