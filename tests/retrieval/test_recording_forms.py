"""A recording gives the same embedding in each form in which data sets, sentence-transformers and MTEB hand it over."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sentence_transformers import SentenceTransformer

from common.errors import DataError, RunError
from retrieval import FinishedModel, load_run
from retrieval.export import export, source_named
from retrieval.mteb_encoder import MtebEncoder
from tests.support.recordings import tiny_run, write_recordings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def model(run: Path) -> FinishedModel:
    return load_run(run, "cpu")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_recordings(tmp_path) / "a.wav"  # 44.1 kHz, two channels


def forms(file: Path) -> dict[str, Any]:
    samples, rate = soundfile.read(file, dtype="float32")  # (T, 2)
    decoded = SimpleNamespace(data=torch.tensor(samples.T), sample_rate=rate)
    return {
        "array": {"array": samples.T, "sampling_rate": rate, "path": "gone.wav"},
        "list of numbers": {"array": samples.mean(1).tolist(), "sampling_rate": rate},
        "decoder": SimpleNamespace(get_all_samples=lambda: decoded),
        "bytes": {"bytes": file.read_bytes(), "path": "gone.wav"},
        "path": {"bytes": None, "path": str(file)},
    }


@pytest.mark.slow
def test_all_forms_give_the_embedding_of_the_file(model: FinishedModel, file: Path) -> None:
    wanted = model.encode_audio(file, progress=False)
    for name, form in forms(file).items():
        for given in (form, {"audio": form}):
            vectors = model.encode_audio([given], progress=False)
            np.testing.assert_allclose(vectors, wanted, rtol=0, atol=1e-5, err_msg=name)
    alone = model.encode_audio(forms(file)["array"], progress=False)
    np.testing.assert_allclose(alone, wanted, rtol=0, atol=1e-5)


def test_bytes_that_are_no_audio_are_refused(model: FinishedModel) -> None:
    for path, named in (("a.mp3", "a.mp3"), (None, "a recording's bytes")):
        with pytest.raises(DataError, match=f"^{named}: is not audio that can be read .*; give it as a file$"):
            model.encode_audio([{"bytes": b"text", "path": path}], progress=False)


def test_sentence_transformers_take_what_mteb_passes(
    run: Path, model: FinishedModel, file: Path, tmp_path: Path
) -> None:
    export(source_named(str(run)), tmp_path / "made")
    inside = SentenceTransformer(str(tmp_path / "made"), trust_remote_code=True, device="cpu")
    wanted = model.encode_audio(file, progress=False)
    for name in ("array", "list of numbers"):  # MTEB's collator decodes and resamples
        given = [{"audio": forms(file)[name]}]
        for encode in (inside.encode_document, inside.encode_query):
            np.testing.assert_allclose(encode(given), wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(inside.encode_query([{"text": "loud dog"}]), model.encode_text("loud dog"), atol=1e-6)


def test_mteb_gets_the_embeddings_and_scores_of_the_model(run: Path, model: FinishedModel, file: Path) -> None:
    encoder = MtebEncoder(str(run), device="cpu")
    recordings = list(forms(file).values())
    audio = encoder.encode([{"audio": recordings[:2]}, {"audio": recordings[2:]}], task_metadata=None, batch_size=2)
    np.testing.assert_allclose(audio, np.repeat(model.encode_audio(file, progress=False), 5, 0), rtol=0, atol=1e-5)
    texts = ["loud dog", "distant rain"]
    text = encoder.encode([{"text": texts[:1]}, {"text": texts[1:]}])
    np.testing.assert_allclose(text, model.encode_text(texts), rtol=0, atol=1e-6)
    assert not text.is_inference()
    scores = encoder.similarity(text, audio.numpy())
    np.testing.assert_allclose(scores, text @ audio.T, rtol=0, atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(text, audio[:2]), scores.diagonal(), rtol=0, atol=1e-6)


def test_mteb_keeps_results_of_other_weights_apart(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = MtebEncoder(str(run), device="cpu")
    assert encoder.name == "tiny/0"
    assert encoder.revision == MtebEncoder(str(run), device="cpu").revision
    weights = next(iter(encoder.finished.model.text_encoder.parameters()))
    monkeypatch.setattr("retrieval.mteb_encoder.load_run", lambda *_: encoder.finished)
    weights.data.add_(1)
    assert MtebEncoder(str(run)).revision != encoder.revision
    monkeypatch.setitem(sys.modules, "mteb.models", None)
    with pytest.raises(RunError, match="MTEB is not installed; pip install 'mteb"):
        encoder.mteb_model_meta  # noqa: B018
