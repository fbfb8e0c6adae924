"""Every objective on two gloo processes with a half of the batch each, against one process with the whole of it."""

import pytest
import torch
import torch.distributed as dist

from lightning_modules.dual_encoder import DualEncoder
from relevance.targets import SameAudio
from tests.support.gradients import BATCH
from tests.support.objective_table import CASES, pairs_of_kind
from tests.support.ranks import on_ranks
from tests.support.tiny import KindRelevance, TinyData, tiny_model

Outcome = tuple[torch.Tensor, torch.Tensor]


def model_of(name: str, kind: str) -> DualEncoder:
    relevance = SameAudio() if kind == "binary" else KindRelevance()
    relevance.prepare(*TinyData().read_captions())
    return tiny_model(CASES[name].make(), relevance)


def outcome(model: DualEncoder, pairs: list[int]) -> Outcome:
    """The loss, and the gradients of all parameters in one vector."""
    loss = model.training_step(TinyData().pairs(pairs), 0)
    loss.backward()
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
    return loss.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def work(rank: int) -> dict[tuple[str, str], Outcome]:
    outcomes: dict[tuple[str, str], Outcome] = {}
    for name, kind in pairs_of_kind():
        values = outcome(model_of(name, kind), BATCH[4 * rank : 4 * rank + 4])
        for value in values:  # what DDP does
            dist.all_reduce(value)
            value /= 2
        outcomes[name, kind] = values
    return outcomes


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, str], Outcome]]:
    return on_ranks(work, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize(("name", "kind"), pairs_of_kind())
def test_two_ranks_give_the_loss_and_the_gradients_of_one(
    ranks: list[dict[tuple[str, str], Outcome]], name: str, kind: str
) -> None:
    loss, gradient = outcome(model_of(name, kind), BATCH)
    assert gradient.norm() > 1e-3
    for rank in ranks:
        torch.testing.assert_close(rank[name, kind][0], loss, rtol=1e-5, atol=1e-6)
        assert (rank[name, kind][1] - gradient).norm() < 1e-5 * gradient.norm()


def test_the_chunked_gradient_is_the_whole_one() -> None:
    for name in ("siglip", "optimal_transport", "cusa"):
        model = model_of(name, "binary")
        loss, gradient = outcome(model, BATCH)
        chunked = model_of(name, "binary")
        chunked.chunk = 3
        ours = outcome(chunked, BATCH)
        torch.testing.assert_close(ours[0], loss)
        assert (ours[1] - gradient).norm() < 1e-5 * gradient.norm()
