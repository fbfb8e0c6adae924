"""Matchers that compare words and frames: against loops, alone as in a batch, on two ranks, trained and ranked."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from common.errors import ModelError
from evaluation.two_stage_scores import TwoStageScores
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.matchers import CoAttention, LateInteraction, Matcher, TextAwarePooling
from lightning_modules.matchers.late_interaction import late_scores
from lightning_modules.matchers.packed_states import fixed_length, pack, unpack
from lightning_modules.states import States
from relevance.objectives import InfoNCE, ListNet
from tests.support.learning import assert_learns, frames_and_words
from tests.support.ranks import on_ranks
from tests.support.seams import FramesAudio, TokenText
from tests.support.tiny import KindRelevance, TinyAudio, TinyData, TinyText, tiny_model

BATCH = [0, 2, 5, 9, 13, 17]
CAPTIONS = ["a loud dog barks here", "rain", "distant rain falls"]
SMALL = {"frames": 4, "words": 3}
MATCHERS = {
    "late": lambda: LateInteraction(6, **SMALL),
    "text-aware": lambda: TextAwarePooling(6, frames=4, dropout=0.0),
    "co-attention": lambda: CoAttention(6, top=3, **SMALL),
}


def model_of(name: str, seed: int = 0) -> DualEncoder:
    torch.manual_seed(seed)
    model = DualEncoder(FramesAudio(), TokenText(), KindRelevance(), ListNet("both"), matcher=MATCHERS[name]())
    with torch.no_grad():
        for parameter in model.matcher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # away from the identity
    model.relevance.prepare(*TinyData().read_captions())
    return model


def sounds() -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([61, 12, 33])
    return torch.randn(3, 61, generator=torch.Generator().manual_seed(2)), lengths


def rows(matcher: Matcher, states: States, most: int, side: str) -> list[list[Tensor]]:
    """Projected states of each input, at most so many, in loops."""
    head = getattr(matcher, f"{side}_head")
    found = []
    for values, length in zip(states.values, states.lengths.tolist(), strict=True):
        if length > most:
            members = [[i for i in range(length) if i * most // length == stretch] for stretch in range(most)]
            each = [torch.stack([values[i] for i in stretch]).mean(0) for stretch in members]
        else:
            each = [values[i] for i in range(length)]
        found.append([head(state) for state in each])
    return found


def test_late_interaction_against_a_loop() -> None:
    model = model_of("late")
    words = rows(model.matcher, model.text_encoder(CAPTIONS), 3, "text")
    frames = rows(model.matcher, model.audio_encoder(*sounds()), 4, "audio")
    assert [len(each) for each in words], [len(each) for each in frames] == ([3, 1, 3], [4, 2, 4])
    found = model.matcher.scores(model.embed_text(CAPTIONS), model.embed_audio(*sounds()))
    for caption, said in enumerate(words):
        for recording, heard in enumerate(frames):
            best = [max(float(F.cosine_similarity(w, f, dim=0)) for f in heard) for w in said]
            assert float(found[caption, recording]) == pytest.approx(sum(best) / len(best), abs=1e-6)


def test_late_interaction_in_tiles() -> None:
    text, audio = torch.randn(9, 3, 5), torch.randn(7, 4, 5)
    torch.testing.assert_close(late_scores(text, audio, elements=1), late_scores(text, audio))
    matcher = LateInteraction(5)
    text[:, 2] = 0
    scores = matcher.pool_scores(text, audio)
    torch.testing.assert_close(scores.block(slice(None), slice(None)), late_scores(text, audio))
    torch.testing.assert_close(scores.transposed().block(slice(None), slice(None)), late_scores(text, audio).T)


def norm(layer: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    return (x - x.mean()) / (x.var(correction=0) + layer.eps).sqrt() * layer.weight + layer.bias


def test_text_aware_pooling_against_a_loop() -> None:
    model = model_of("text-aware")
    matcher = model.matcher
    assert isinstance(matcher, TextAwarePooling)
    tokens = model.text_encoder(CAPTIONS)
    frames = rows(matcher, model.audio_encoder(*sounds()), 4, "audio")
    found = matcher.scores(model.embed_text(CAPTIONS), model.embed_audio(*sounds()))
    for caption in range(3):
        t = matcher.text_head(tokens.values[caption, : tokens.lengths[caption]].mean(0))
        query = matcher.query(norm(matcher.query_norm, t))
        for recording, heard in enumerate(frames):
            normed = [norm(matcher.audio_norm, f) for f in heard]
            logits = [float(query @ matcher.key(f)) / math.sqrt(6) for f in normed]
            weights = [math.exp(logit) / sum(map(math.exp, logits)) for logit in logits]
            pooled = sum(w * matcher.value(f) for w, f in zip(weights, normed, strict=True))
            r = norm(matcher.pooled_norm, matcher.output(pooled))
            z = norm(matcher.last_norm, r + matcher.project(r))
            assert float(found[caption, recording]) == pytest.approx(float(F.cosine_similarity(z, t, dim=0)), abs=1e-5)


def test_co_attention_against_a_loop() -> None:
    model = model_of("co-attention")
    matcher = model.matcher
    assert isinstance(matcher, CoAttention)
    words = rows(matcher, model.text_encoder(CAPTIONS), 3, "text")
    frames = rows(matcher, model.audio_encoder(*sounds()), 4, "audio")
    found = matcher.scores(model.embed_text(CAPTIONS), model.embed_audio(*sounds()))
    for caption, said in enumerate(words):
        for recording, heard in enumerate(frames):
            cosine = F.cosine_similarity(torch.stack(said).mean(0), torch.stack(heard).mean(0), dim=0)
            w, f = [norm(matcher.words_norm, x) for x in said], [norm(matcher.audio_norm, x) for x in heard]
            s = torch.stack([torch.stack([matcher.affinity(x) @ y for y in f]) for x in w]) / math.sqrt(6)
            of_words = [sum(a * y for a, y in zip(s[i].softmax(0), f, strict=True)) for i in range(len(w))]
            of_frames = [sum(a * x for a, x in zip(s[:, j].softmax(0), w, strict=True)) for j in range(len(f))]
            both = [
                torch.stack([x * y for x, y in zip(*pair, strict=True)]).mean(0)
                for pair in ((w, of_words), (f, of_frames))
            ]
            c = torch.tanh(matcher.network(torch.cat(both)))
            assert float(found[caption, recording]) == pytest.approx(float((cosine + c) / 2), abs=1e-5)


@pytest.mark.parametrize("name", MATCHERS)
def test_an_input_alone_is_embedded_and_scored_as_in_a_batch(name: str) -> None:
    model = model_of(name).eval()
    waveforms, lengths = sounds()
    text, audio = model.embed_text(CAPTIONS), model.embed_audio(waveforms, lengths)
    assert text.isfinite().all()
    assert audio.isfinite().all()
    scores = model.matcher.scores(text, audio)
    for row, length in enumerate(lengths.tolist()):
        alone = model.embed_audio(waveforms[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], audio[row])
        caption = model.embed_text([CAPTIONS[row]])
        torch.testing.assert_close(caption[0], text[row])
        torch.testing.assert_close(model.matcher.scores(caption, alone)[0, 0], scores[row, row])


@pytest.mark.parametrize("name", MATCHERS)
def test_all_weights_get_gradients_and_one_vector_has_a_shape(name: str) -> None:
    model, batch = model_of(name), TinyData().pairs(BATCH)
    model.training_step(batch, 0).backward()
    for key, parameter in model.named_parameters():
        if not key.endswith(("key.bias", "affinity.bias")):  # softmax does not see these
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
            assert parameter.grad.any() or key.endswith("query.bias"), key
    audio, text = model.embed(batch)
    for embedded in (audio, text):
        assert model.matcher.vectors(embedded).shape == (6, 6)


def test_states_are_packed_with_their_mask() -> None:
    states = fixed_length(States(torch.full((2, 3, 2), torch.nan), torch.tensor([3, 1])), 4)
    values, mask = unpack(pack(States(torch.ones(2, 4, 2), states.lengths)))
    assert mask.tolist() == [[True, True, True, False], [True, False, False, False]]
    assert torch.equal(values.sum(2), 2.0 * mask)


def test_a_vector_is_the_only_state() -> None:
    model = tiny_model(InfoNCE(), matcher=LateInteraction(6, frames=2, words=2))
    assert isinstance(model.audio_encoder, TinyAudio)
    assert isinstance(model.text_encoder, TinyText)
    batch = TinyData().pairs(BATCH)
    audio, text = model.embed(batch)
    assert isinstance(model.matcher, LateInteraction)
    expected = F.normalize(model.matcher.text_head(model.text_encoder(batch.captions)), dim=1) @ audio[:, 0].T
    torch.testing.assert_close(model.matcher.scores(text, audio), expected)


def test_numbers_out_of_range() -> None:
    with pytest.raises(ModelError, match=r"^LateInteraction: frames is 0; give a number from 1"):
        LateInteraction(frames=0)
    with pytest.raises(ModelError, match=r"^CoAttention: share is 1.5; give a number from 0 to 1"):
        CoAttention(share=1.5)
    with pytest.raises(ModelError, match=r"^TextAwarePooling: dropout is -1; give a number from 0 to 1"):
        TextAwarePooling(dropout=-1)


def step(name: str, ids: list[int]) -> dict[str, Tensor]:
    model = model_of(name)
    loss = model.training_step(TinyData().pairs(ids), 0)
    loss.backward()
    return {"loss": loss.detach(), **{key: p.grad for key, p in model.named_parameters() if p.grad is not None}}


def on_a_rank(rank: int) -> dict[str, dict[str, Tensor]]:
    return {name: step(name, BATCH[3 * rank : 3 * rank + 3]) for name in MATCHERS}


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path: Path) -> None:
    ranks = on_ranks(on_a_rank, tmp_path)
    for name in MATCHERS:
        for key, expected in step(name, BATCH).items():
            mean = torch.stack([rank[name][key] for rank in ranks]).mean(0)
            torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MATCHERS)
def test_a_matcher_trains_and_ranks(name: str, tmp_path: Path) -> None:
    model = frames_and_words(matcher=MATCHERS[name])
    logged = assert_learns(model, tmp_path, 8)
    assert model.evaluation is not None
    pool, scores = model.evaluation.pool, model.evaluation.scores
    found = scores.block(slice(None), slice(None))
    with torch.no_grad():
        direct = model.matcher.scores(pool.text, pool.audio)
    if name == "co-attention":
        assert isinstance(scores, TwoStageScores)
        assert logged["test/reranked_pairs"] == 3 * (len(pool.text) + len(pool.audio))
        first = model.matcher.vectors(pool.text) @ model.matcher.vectors(pool.audio).T
        best = first.topk(3).indices
        assert torch.equal(found.argmax(1), best.gather(1, direct.gather(1, best).argmax(1)[:, None])[:, 0])
    else:
        torch.testing.assert_close(found, direct)
