"""Targets beside predictions: what the figure shows."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.figures.targets import draw_targets_beside_predictions, heat_maps
from experiments.results.pool_file import with_names
from relevance.objectives.base import listnet_loss, target_distribution
from relevance.objectives.listnet import ListNet
from tests.support.tiny import TinyData, tiny_model, tiny_trainer


@settings(max_examples=12)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000), st.sampled_from([0.05, 0.5, None]))
def test_the_title_gives_the_loss(queries: int, items: int, seed: int, omega: float | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = 2 * torch.rand(queries, items, generator=generator) - 1
    relevance = torch.rand(queries, items, generator=generator) + 0.01
    P, Q = target_distribution(relevance, omega), torch.softmax(scores / 0.05, dim=1)
    title = draw_targets_beside_predictions(P, Q).get_suptitle()
    loss, entropy = float(listnet_loss(scores, relevance, 0.05, omega)), float(torch.special.entr(P).sum(1).mean())
    told = [float(word.rstrip(",")) for word in title.split() if word[0].isdigit() or word[0] == "-"]
    assert told == pytest.approx([loss, entropy, loss - entropy], abs=1.5e-3)


def test_targets_and_predictions_share_a_colour_scale() -> None:
    P, Q = np.eye(3), np.array([[0.5, 0.5, 0], [0.2, 0.7, 0.1], [0, 0, 1]])
    figure = draw_targets_beside_predictions(P, Q, ["$a", "b$", "c"], "one line")
    left, right, scale = figure.axes
    (targets,), (predictions,) = left.get_images(), right.get_images()
    assert targets.norm.vmin == predictions.norm.vmin == 1e-3
    assert targets.norm.vmax == predictions.norm.vmax == 1
    np.testing.assert_allclose(targets.get_array(), np.where(P == 1, 1, 1e-3))
    np.testing.assert_allclose(predictions.get_array(), np.clip(Q, 1e-3, 1))
    assert "log scale" in scale.get_ylabel()
    assert [label.get_text() for label in left.get_yticklabels()] == ["$a", "b$", "c"]
    assert figure.get_suptitle().splitlines()[0] == "one line"
    figure.savefig(io.BytesIO())  # dollar signs are no formulas


@pytest.mark.parametrize(
    ("P", "Q", "captions"), [(np.eye(2), np.eye(3), []), (np.eye(2), np.eye(2), ["one"]), (np.ones(2), np.ones(2), [])]
)
def test_what_does_not_fit_is_not_drawn(P: Any, Q: Any, captions: list[str]) -> None:
    with pytest.raises(ValueError, match="do not fit together; give two matrices of one shape"):
        draw_targets_beside_predictions(P, Q, captions)


def test_the_heat_map_is_of_the_first_batch_in_each_direction(tmp_path: Path) -> None:
    data, model = TinyData(), tiny_model(ListNet("both", tau=0.2, omega=0.3, learn_tau=True), loss_batch=5)
    tiny_trainer(tmp_path).validate(model, datamodule=data, verbose=False)
    names = [f"{audio}.wav" for audio in range(max(data.audio_of) + 1)]
    table = SimpleNamespace(
        audio=pa.table({"audio_id": list(range(len(names))), "name": names}),
        captions=pa.table({"caption_id": list(range(len(data.captions))), "caption": data.captions}),
    )
    assert model.evaluation is not None
    figures = heat_maps(model, with_names(model.evaluation, table), "tiny")
    first = [data.captions_of(audio)[0] for audio in list(data.audio_ids["validation"])[:5]]
    batch = data.pairs(first)
    with torch.no_grad():
        scores = model.embed_text(batch.captions) @ model.embed_audio(batch.waveforms, batch.lengths).T
    relevance = model.relevance(batch.caption_ids, batch.caption_ids)
    assert list(figures) == ["text_to_audio", "audio_to_text"]
    for figure, directed in zip(figures.values(), (scores, scores.T), strict=True):
        left, right, _ = figure.axes
        drawn_p, drawn_q = left.get_images()[0].get_array(), right.get_images()[0].get_array()
        np.testing.assert_allclose(drawn_p, torch.softmax(relevance / 0.3, 1).clamp(min=1e-3), rtol=1e-4)
        np.testing.assert_allclose(drawn_q, torch.softmax(directed / 0.2, 1).clamp(min=1e-3), rtol=1e-4)
        assert [label.get_text() for label in left.get_yticklabels()] == [data.captions[i] for i in first]
        loss = float(listnet_loss(directed, relevance, 0.2, 0.3))
        assert f"cross-entropy H(P, Q) {loss:.3f} nats" in figure.get_suptitle()
    assert "tiny: audio to text, the first 5" in figures["audio_to_text"].get_suptitle()
