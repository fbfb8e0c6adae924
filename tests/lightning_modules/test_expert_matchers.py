"""Matchers of experts against loops in NumPy, the published sizes, and missing experts."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from common.errors import ModelError
from evaluation.ranks import count_ranks
from evaluation.scores import FunctionScores
from lightning_modules.audio_encoders import ExpertFeatures
from lightning_modules.matchers import CollaborativeExperts, Cosine, ExpertMatcher, MixtureOfExperts
from lightning_modules.matchers.gated_units import GatedUnit
from lightning_modules.pooling import MeanPooling, NetVLAD
from lightning_modules.pooling.base import Pooling
from lightning_modules.states import ExpertSize, ExpertVectors
from tests.support.experts import ExpertData, expert_model, matchers
from tests.support.tiny import TinyAudio

Array = npt.NDArray[np.float64]
FRAMES = {"vggish": 128, "vggsound": 512, "scene": 2208, "inst": 2048, "r2p1d": 512}
PUBLISHED = {
    ("ce", "vggish"): 7_389_127,
    ("ce", "vggsound"): 12_120_007,
    ("ce", "scene"): 7_507_879,
    ("ce", "inst"): 7_384_999,
    ("ce", "r2p1d"): 6_205_351,
    ("ce", "vggish vggsound"): 21_864_536,
    ("ce", "scene inst"): 17_248_280,
    ("ce", "scene r2p1d"): 16_068_632,
    ("ce", "r2p1d inst"): 15_945_752,
    ("ce", "r2p1d inst vggish"): 23_324_073,
    ("ce", "r2p1d inst vggsound"): 28_054_953,
    ("ce", "r2p1d inst vggish vggsound"): 35_433_274,
    ("moee", "vggish vggsound"): 8_903_512,
}
"""Trained parameters by the authors' results."""


@pytest.mark.parametrize(("method", "experts"), PUBLISHED)
def test_models_have_the_published_number_of_parameters(method: str, experts: str) -> None:
    with torch.device("meta"):
        names = experts.split()
        parts: dict[str, Pooling] = {name: NetVLAD(16) if name.startswith("vgg") else MeanPooling() for name in names}
        encoder = ExpertFeatures({name: FRAMES[name] for name in names}, parts, dict.fromkeys(names, 29))
        text_pooling = NetVLAD(20, 1)
        matcher = CollaborativeExperts() if method == "ce" else MixtureOfExperts()
        matcher.connect_experts(encoder.experts, text_pooling.connect(300, 20))
    model = nn.ModuleList([encoder, text_pooling, matcher])
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[method, experts]


def array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.detach().double().numpy()


def linear(layer: Any, x: Array) -> Array:
    return x @ array(layer.weight).T + array(layer.bias)


def normed(layer: Any, x: Array) -> Array:
    """Batch normalisation with the batch's own statistics."""
    return (x - x.mean(0)) / np.sqrt(x.var(0) + layer.eps) * array(layer.weight) + array(layer.bias)


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def gated(gate: Any, x: Array) -> Array:
    return unit(x * sigmoid(normed(gate.norm, linear(gate.linear, x))))


def scrambled(module: nn.Module) -> None:
    """Scales and shifts that are not 1 and 0."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.weight.uniform_(0.5, 2)
                part.bias.uniform_(-1, 1)


SIZES = {"a": ExpertSize(4, 8), "b": ExpertSize(3, 3), "c": ExpertSize(5, 10)}
PRESENT = torch.tensor([row for row in itertools.product([True, False], repeat=3) if any(row)])  # (7, 3)


def vectors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(7, size.pooled, generator=generator) for name, size in SIZES.items()}


def connected(matcher: ExpertMatcher) -> ExpertMatcher:
    torch.manual_seed(0)
    matcher.connect_experts(SIZES, 6)
    scrambled(matcher)
    return matcher


def parts_of(embedded: Tensor, matcher: ExpertMatcher) -> list[Array]:
    """The vectors of each expert of embedded rows."""
    dims = [unit[0].out_features for unit in matcher.text_units.values()]  # type: ignore[index]
    return [array(part) for part in embedded.split([*dims, 3], dim=1)[:3]]


def test_gated_unit_against_numpy() -> None:
    torch.manual_seed(0)
    module, x = GatedUnit(5, 3), torch.randn(4, 5)
    scrambled(module)
    expected = gated(module[1], linear(module[0], array(x)))
    np.testing.assert_allclose(array(module(x)), expected, atol=1e-6)


def test_mixture_of_experts_against_numpy() -> None:
    matcher = connected(MixtureOfExperts())
    found = parts_of(matcher.audio(ExpertVectors(vectors(), PRESENT)), matcher)
    for number, (name, x) in enumerate(vectors().items()):
        module: Any = matcher.units[name]  # type: ignore[index, union-attr]
        expected = gated(module[1], linear(module[0], array(x))) * PRESENT[:, number : number + 1].numpy()
        np.testing.assert_allclose(found[number], expected, atol=1e-6)


def mish(x: Array) -> Array:
    return x * np.tanh(np.log1p(np.exp(x)))


@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("include_self", [True, False])
def test_collaborative_experts_against_numpy(include_self: bool, in_turn: bool) -> None:
    matcher: Any = connected(CollaborativeExperts(6, include_self=include_self, in_turn=in_turn))
    found = parts_of(matcher.audio(ExpertVectors(vectors(), PRESENT)), matcher)
    reduced = {name: unit(linear(matcher.reductions[name], array(x))) for name, x in vectors().items()}
    seen = dict(reduced)
    for number, name in enumerate(SIZES):
        total, count = np.zeros((7, 6)), np.zeros((7, 1))
        for other_number, other in enumerate(SIZES):
            if other == name and not include_self:
                continue
            x = np.concatenate([reduced[name], seen[other]], 1)
            x = linear(matcher.g[0], x)
            for layer in (1, 4):
                x = linear(matcher.g[layer + 2], mish(normed(matcher.g[layer], x)))
            both = (PRESENT[:, number] & PRESENT[:, other_number]).numpy()[:, None]
            total, count = total + x * both, count + both
        mask = total / np.maximum(count, 1)
        gate = matcher.gates[name]
        t = normed(gate.mask_norm, mask) + normed(gate.norm, linear(gate.linear, reduced[name]))
        expected = unit(reduced[name] * sigmoid(t))
        np.testing.assert_allclose(found[number], expected * PRESENT[:, number : number + 1].numpy(), atol=2e-6)
        if in_turn:
            seen[name] = expected


def embedded(matcher: ExpertMatcher, captions: int = 9) -> tuple[Tensor, Tensor]:
    """Captions, and a recording of each pattern of presence, in evaluation mode."""
    matcher.eval()
    said = torch.randn(captions, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return matcher.text(said), matcher.audio(ExpertVectors(vectors(), PRESENT))


@pytest.mark.parametrize("matcher", [MixtureOfExperts(), CollaborativeExperts(6)])
def test_the_score_of_every_pair_is_the_weighted_mean_whatever_is_missing(matcher: ExpertMatcher) -> None:
    connected(matcher)
    text, audio = embedded(matcher)
    said, heard = parts_of(text, matcher), parts_of(audio, matcher)
    weights = array(text)[:, -3:]
    expected = np.zeros((9, 7))
    for i, j in itertools.product(range(9), range(7)):
        have = [e for e in range(3) if PRESENT[j, e]]
        cosines = {e: said[e][i] / weights[i, e] @ heard[e][j] for e in have}
        assert all(abs(value) < 1 + 1e-5 for value in cosines.values())
        expected[i, j] = sum(weights[i, e] * cosines[e] for e in have) / sum(weights[i, e] for e in have)
    np.testing.assert_allclose(array(matcher.scores(text, audio)), expected, atol=1e-6)
    pool = matcher.pool_scores(text, audio)
    np.testing.assert_allclose(array(pool.block(slice(0, 9), slice(0, 7))), expected, atol=1e-6)
    np.testing.assert_allclose(array(pool.transposed().block(slice(0, 7), slice(0, 9))), expected.T, atol=1e-6)
    folded = count_ranks(pool, np.arange(9), np.arange(9) % 7, topk=7)
    plain = count_ranks(FunctionScores(matcher.scores, text, audio), np.arange(9), np.arange(9) % 7, topk=7)
    assert torch.equal(folded.greater, plain.greater)
    assert torch.equal(folded.topk_items, plain.topk_items)
    by_hand = (expected > np.take_along_axis(expected, (np.arange(9) % 7)[:, None], 1) + 1e-9).sum(1)
    assert folded.greater.tolist() == by_hand.tolist()


@pytest.mark.parametrize("name", matchers())
def test_a_missing_expert_acts_through_the_weights_alone(name: str) -> None:
    model, batch = expert_model(matchers()[name]).eval(), ExpertData().pairs([0, 2, 5, 9, 13, 17])
    row = int((batch.experts["high"].lengths == 0).nonzero()[0])
    states = model.audio_encoder(*model.audio_inputs(batch))
    assert isinstance(states, ExpertVectors)
    before = model.matcher.audio(states)
    states.vectors["high"][row] = 7.0
    assert torch.equal(model.matcher.audio(states), before)
    assert before[row, -2:].tolist() == [0, 1]  # in alphabetical order: high, low
    assert not before[row, : {"moee": 5, "ce": 6}[name]].any()
    text = model.embed_text(["loud dog"])
    low = before.shape[1] - 2 - {"moee": 3, "ce": 6}[name]
    alone = text[:, low:-2] @ before[row, low:-2] / text[:, -1]
    torch.testing.assert_close(model.matcher.scores(text, before)[:, row], alone)


@pytest.mark.parametrize("name", matchers())
def test_a_recording_alone_is_embedded_as_in_a_batch(name: str) -> None:
    model, data = expert_model(matchers()[name]), ExpertData()
    for _ in range(3):  # other statistics than 0 and 1
        model.embed(data.pairs([0, 2, 5, 9, 13, 17]))
    model.eval()
    audio, text = model.embed(data.pairs([0, 2, 5, 9, 13, 17]))
    for row, caption in enumerate([0, 2, 5, 9, 13, 17]):
        alone = model.embed(data.pairs([caption]))
        torch.testing.assert_close(alone[0][0], audio[row], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone[1][0], text[row], atol=1e-6, rtol=0)


def test_an_encoder_of_audio_is_a_single_expert() -> None:
    matcher = CollaborativeExperts(6)
    matcher.connect(TinyAudio().dim, 4)
    audio = matcher.audio(TinyAudio()(torch.randn(3, 40), torch.tensor([40, 20, 10])))
    text = matcher.text(torch.randn(2, 4))
    assert matcher.names == ["audio"]
    torch.testing.assert_close(audio[:, :-1].norm(dim=1), torch.ones(3))
    torch.testing.assert_close(matcher.scores(text, audio), text[:, :-1] @ audio[:, :-1].T)


def test_a_plain_matcher_takes_experts_side_by_side() -> None:
    model, batch = expert_model(Cosine(4)), ExpertData().pairs([0, 2, 5])
    states = model.audio_encoder(*model.audio_inputs(batch))
    assert isinstance(states, ExpertVectors)
    together = torch.cat([states.vectors["high"], states.vectors["low"]], 1)
    torch.testing.assert_close(model.embed(batch)[0], model.matcher.audio(together))


def test_a_training_batch_of_one_pair_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^a training batch holds a single pair"):
        expert_model(MixtureOfExperts()).embed(ExpertData().pairs([0]))


def test_chunks_are_refused_where_a_batch_is_normalised() -> None:
    with pytest.raises(ModelError, match=r"^model\.chunk is 2, but ExpertFeatures has batch normalisation"):
        expert_model(MixtureOfExperts(), chunk=2)
    with pytest.raises(ModelError, match=r"^CollaborativeExperts: dim is 0; give a number from 1"):
        CollaborativeExperts(0)
