"""Two gloo processes with a half of the batch each against one process with the whole of it.

That one process is right by itself is tested in test_training.py, against loops in float64.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lightning_modules.distributed import gather_ids, gather_with_gradient
from lightning_modules.dual_encoder import DualEncoder
from relevance.objectives.base import Objective
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio
from tests.support.gradients import BATCH, Outcome, Step, assert_same, outcome
from tests.support.ranks import on_ranks
from tests.support.tiny import KindRelevance, TinyData, tiny_model

OBJECTIVES: dict[str, tuple[Callable[..., Objective], str]] = {
    "text_to_audio": (ListNet, "text_to_audio"),
    "audio_to_text": (ListNet, "audio_to_text"),
    "both": (ListNet, "both"),
    "infonce": (InfoNCE, "both"),
}


def model_of(name: str) -> DualEncoder:
    objective, direction = OBJECTIVES[name]
    relevance = SameAudio() if objective is InfoNCE else KindRelevance()
    relevance.prepare(*TinyData().read_captions())
    return tiny_model(objective(direction, tau=0.2, learn_tau=True), relevance)


def work(rank: int) -> dict[str, Outcome]:
    half = TinyData().pairs(BATCH[4 * rank : 4 * rank + 4])
    outcomes = {}
    for name in OBJECTIVES:
        model = model_of(name)
        loss = model.training_step(half, 0)
        loss.backward()
        outcomes[name] = outcome(model, loss)
        for value in outcomes[name].values():  # what DDP does, of the loss and of each gradient
            dist.all_reduce(value)
            value /= 2
    for name in ("both", "infonce", "chunked"):
        model = model_of(name.replace("chunked", "both"))
        model.chunk = 3 if name == "chunked" else None
        wrapped = DistributedDataParallel(Step(model))
        wrapped(half).backward()
        wrapped.zero_grad()
        loss = wrapped(half)  # a second step, after DDP has put its buckets in order
        loss.backward()
        outcomes[f"ddp {name}"] = outcome(model, loss)
    return outcomes | {"gather": gathering(rank)}


def gathering(rank: int) -> Outcome:
    """Gathers alone: rank 0 has rows 0 and 1, rank 1 has rows 10 and 11."""
    rows = torch.tensor([[0.0, 0.5, 0.7], [1.0, 1.5, 1.7]], dtype=torch.float64) + 10 * rank
    mine = rows.clone().requires_grad_()
    shared = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.arange(12.0, dtype=torch.float64).view(4, 3) * (1 + rank)
    # The sum hands one and the same gradient tensor to both of its terms.
    gathered = gather_with_gradient(mine)
    ((gathered + shared) * weights).sum().backward()
    transposed = gather_with_gradient(rows.T)
    return {
        "gathered": gathered.detach(),
        "gradient": mine.grad,  # type: ignore[dict-item]
        "shared gradient": shared.grad,  # type: ignore[dict-item]
        "transposed": transposed,
        "ids": gather_ids(torch.tensor([[7, 2**40], [-1, 3]])[rank]),
    }


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Outcome]]:
    return on_ranks(work, tmp_path_factory.mktemp("ranks"))


def of_one_process(name: str) -> Outcome:
    model = model_of(name)
    loss = model.training_step(TinyData().pairs(BATCH), 0)
    loss.backward()
    return outcome(model, loss)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_ranks_give_the_loss_and_the_gradients_of_one(ranks: list[dict[str, Outcome]], name: str) -> None:
    expected = of_one_process(name)
    for rank in ranks:
        assert_same(rank[name], expected)


@pytest.mark.parametrize("name", ["both", "infonce", "chunked"])
def test_so_they_do_through_ddp(ranks: list[dict[str, Outcome]], name: str) -> None:
    expected = of_one_process(name.replace("chunked", "both"))
    outcomes = [rank[f"ddp {name}"] for rank in ranks]
    assert outcomes[0]["loss"] != outcomes[1]["loss"]  # other data on each rank
    loss = (outcomes[0]["loss"] + outcomes[1]["loss"]) / 2
    for ours in outcomes:
        assert_same(ours | {"loss": loss}, expected)


def test_the_gathered_are_in_rank_order(ranks: list[dict[str, Outcome]]) -> None:
    rows = torch.tensor([[0.0, 0.5, 0.7], [1.0, 1.5, 1.7]], dtype=torch.float64)
    for rank in ranks:
        assert torch.equal(rank["gather"]["gathered"], torch.cat([rows, rows + 10]))
        assert torch.equal(rank["gather"]["transposed"], torch.cat([rows.T, rows.T + 10]))
        assert rank["gather"]["ids"].tolist() == [7, 2**40, -1, 3]


def test_gradients_are_summed_over_ranks_and_nobody_else_s_is_touched(ranks: list[dict[str, Outcome]]) -> None:
    weights = torch.arange(12.0, dtype=torch.float64).view(4, 3)
    for rank, outcomes in enumerate(ranks):
        assert torch.equal(outcomes["gather"]["gradient"], 3 * weights[2 * rank : 2 * rank + 2])
        assert torch.equal(outcomes["gather"]["shared gradient"], (1 + rank) * weights)


def test_one_process_gathers_nothing() -> None:
    rows = torch.rand(3, 2, requires_grad=True)
    ids = torch.arange(3)
    assert gather_with_gradient(rows) is rows
    assert gather_ids(ids) is ids


def test_a_group_of_one_gathers_nothing(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        rows = torch.rand(3, 2)
        assert gather_with_gradient(rows) is rows
    finally:
        dist.destroy_process_group()
