"""Encoding in chunks: the same loss and gradients as the whole batch at once, dropout included."""

import pytest
import torch
from torch import Tensor

from common.errors import ModelError
from lightning_modules.audio_encoders.cnn import SmallCNN
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.training.gradient_cache import encode_in_chunks
from relevance.objectives.infonce import InfoNCE
from relevance.objectives.listnet import ListNet
from relevance.targets.binary import SameAudio
from tests.support.gradients import BATCH, assert_same, outcome
from tests.support.tiny import TinyAudio, TinyData, TinyText, tiny_model

DATA = TinyData()


def trained(chunk: int | None, name: str) -> dict[str, Tensor]:
    objectives = {"listnet": ListNet("both"), "infonce": InfoNCE(learn_tau=True)}
    model = tiny_model(objectives[name], SameAudio() if name == "infonce" else None, chunk=chunk)
    model.relevance.prepare(*DATA.read_captions())
    model.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    loss = model.training_step(DATA.pairs(BATCH), 0)
    loss.backward()
    return outcome(model, loss)


@pytest.mark.parametrize("name", ["listnet", "infonce"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 100])
def test_loss_and_gradients_are_those_of_the_whole_batch(name: str, chunk: int) -> None:
    assert_same(trained(chunk, name), trained(None, name))


def test_the_backward_pass_draws_the_same_dropout_again() -> None:
    batch, weights = DATA.pairs(BATCH), torch.randn(len(BATCH), 8)

    def gradient(chunked: bool) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        encoder = TinyAudio(dropout=0.5)
        torch.manual_seed(4)
        if chunked:
            vectors = encode_in_chunks(encoder, 4, batch.waveforms, batch.lengths)
        else:  # the same draws, with all activations kept
            rows = range(0, len(BATCH), 4)
            vectors = torch.cat([encoder(batch.waveforms[i : i + 4], batch.lengths[i : i + 4]) for i in rows])
        torch.rand(7)  # what else is drawn before the backward pass
        (vectors * weights).sum().backward()
        assert encoder.frames.weight.grad is not None
        return vectors.detach(), encoder.frames.weight.grad

    for ours, kept in zip(gradient(True), gradient(False), strict=True):
        torch.testing.assert_close(ours, kept)


def test_activations_of_one_chunk_at_most_are_there_at_a_time() -> None:
    alive, most = 0, 0

    class Counted(torch.autograd.Function):
        """Knows for how many rows an activation is kept."""

        @staticmethod
        def forward(ctx, rows: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
            nonlocal alive, most
            alive += len(rows)
            most = max(most, alive)
            ctx.save_for_backward(rows)
            return rows.square()

        @staticmethod
        def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def, override]
            nonlocal alive
            (rows,) = ctx.saved_tensors  # of a chunk that has been let go of: here it is computed again
            alive -= len(rows)
            return gradient * 2 * rows

    def encode(rows: Tensor) -> Tensor:
        encoded: Tensor = Counted.apply(rows)
        return encoded

    rows = torch.rand(12, 3, requires_grad=True)
    vectors = encode_in_chunks(encode, 4, rows)
    alive = most = 0  # the forward pass kept none
    vectors.sum().backward()
    assert most == 4
    assert rows.grad is not None
    assert torch.equal(rows.grad, 2 * rows.detach())


def test_nothing_is_cut_where_no_gradient_is_wanted() -> None:
    sizes = []

    def encode(captions: list[str]) -> Tensor:
        sizes.append(len(captions))
        return torch.zeros(len(captions), 2)

    with torch.no_grad():
        encode_in_chunks(encode, 2, ["a"] * 5)
    assert sizes == [5]


def test_chunks_that_cannot_be_exact_are_refused() -> None:
    with pytest.raises(ModelError, match=r"model\.chunk is 0: give at least 1"):
        tiny_model(chunk=0)
    with pytest.raises(ModelError, match=r"model\.chunk is 4, but SmallCNN has batch normalisation"):
        DualEncoder(SmallCNN(), TinyText(), SameAudio(), InfoNCE(), chunk=4)
    DualEncoder(SmallCNN().requires_grad_(False), TinyText(), SameAudio(), InfoNCE(), chunk=4)
