"""What every objective and every kind of relevance says of itself."""

import inspect
import re

import pytest

from relevance import objectives, targets
from relevance.base import Relevance
from relevance.objectives import Objective

KINDS = [
    kind
    for room in (objectives, targets)
    for kind in (getattr(room, name) for name in room.__all__)
    if inspect.isclass(kind) and issubclass(kind, Objective | Relevance) and kind is not Objective
]


def test_all_are_found() -> None:
    assert {kind.__name__ for kind in KINDS} >= {"InfoNCE", "ListNet", "MaxMargin", "SameAudio", "CaptionSimilarity"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_names_its_source_and_when_to_take_another(kind: type[Objective | Relevance]) -> None:
    assert re.fullmatch(r'.+ (19|20)\d\d, ".+"', kind.__dict__.get("citation", ""))
    relations = re.search(r"\n    Relations: (.+?)(\n\n|\n {4}$|$)", kind.__doc__ or "", re.DOTALL)
    assert relations is not None
    others = {other.__name__ for other in KINDS} - {kind.__name__}
    assert any(f"`{other}`" in relations[1] for other in others) or kind is targets.MixedTargets
