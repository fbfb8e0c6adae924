"""A finished model's embeddings are those of its test, whatever a recording is given as; search ranks by them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from common.errors import DataError, ModelError, RunError
from retrieval import FinishedModel, load_run
from tests.support.experts import expert_model, matchers
from tests.support.pairs import save_clap
from tests.support.recordings import NAMES, damage, embedded, model_of, tiny_run, write_recordings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "audio")


@pytest.fixture
def model(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FinishedModel:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))  # an index of what is searched
    return load_run(run, "cpu")


@pytest.mark.slow
def test_files_are_embedded_as_in_a_test(run: Path, model: FinishedModel, audio: Path) -> None:
    wanted = np.stack([embedded(model_of(run), audio / name) for name in NAMES])
    given = model.encode_audio([audio / name for name in NAMES], batch_size=3, progress=False)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.encode_audio(str(audio / NAMES[0]), progress=False), wanted[:1], rtol=0, atol=1e-6)
    tensors = model.encode_audio([str(audio / NAMES[1])], progress=True, output="torch")
    torch.testing.assert_close(tensors, torch.tensor(wanted[1:2]), rtol=0, atol=1e-6)
    assert not tensors.is_inference()


def test_samples_of_any_rate_and_channels_are_taken(model: FinishedModel, audio: Path) -> None:
    samples, rate = soundfile.read(audio / "a.wav", dtype="float32")  # (T, 2)
    wanted = model.encode_audio(audio / "a.wav", progress=False)
    for given in (samples.T, torch.tensor(samples.T), samples.mean(1)):
        vectors = model.encode_audio([given], sample_rate=rate, progress=False)
        np.testing.assert_allclose(vectors, wanted, rtol=0, atol=1e-5)


def test_texts_and_similarities(run: Path, model: FinishedModel, audio: Path) -> None:
    texts = ["loud dog", "distant rain", "steady engine"]
    text = model.encode_text(texts, batch_size=2)
    with torch.inference_mode():
        np.testing.assert_allclose(text, model_of(run).embed_text(texts).numpy(), rtol=0, atol=1e-6)
    vectors = model.encode_audio([audio / name for name in NAMES[:2]], progress=False)
    scores = model.similarity(text, vectors)
    np.testing.assert_allclose(scores, text @ vectors.T, rtol=0, atol=1e-6)
    given = model.similarity(torch.tensor(text), torch.tensor(vectors))
    assert isinstance(given, torch.Tensor)
    assert model.encode_text("loud dog").shape == (1, 12)


def test_search_ranks_a_folder_and_follows_its_changes(model: FinishedModel, audio: Path) -> None:
    hits = model.search("loud dog", audio, top=100)
    assert sorted(hit.name for hit in hits) == sorted(NAMES)
    vectors = model.encode_audio([audio / hit.name for hit in hits], progress=False)
    scores = model.similarity(model.encode_text("loud dog"), vectors)[0]
    np.testing.assert_allclose([hit.similarity for hit in hits], scores, rtol=0, atol=1e-6)
    assert list(scores) == sorted(scores, reverse=True)
    (audio / NAMES[0]).unlink()
    (audio / "text.mp3").write_text("no audio")
    assert NAMES[0] not in [hit.name for hit in model.search("loud dog", audio, top=100)]
    with pytest.raises(RunError, match="the query is empty"):
        model.search(" ", audio)


def test_a_pair_and_an_exported_folder_are_opened_by_name(tmp_path: Path) -> None:
    pair = load_run(str(save_clap(tmp_path, seconds=1)), "cpu")
    noise = 0.1 * np.random.default_rng(0).standard_normal(60_000).astype(np.float32)
    assert pair.encode_audio(noise, sample_rate=24_000, progress=False).shape == (1, 8)


def test_mistakes_are_one_line(run: Path, model: FinishedModel, audio: Path, tmp_path: Path) -> None:
    damage(audio)
    with pytest.raises(DataError, match="samples have no sample rate"):
        model.encode_audio(np.zeros(100, np.float32))
    with pytest.raises(DataError, match=r"samples of shape \(1, 2, 3\) cannot be used"):
        model.encode_audio([np.zeros((1, 2, 3))], sample_rate=100)
    with pytest.raises(DataError, match=r"empty.wav: is empty"):
        model.encode_audio([audio / "empty.wav"], progress=False)
    with pytest.raises(DataError, match="a text is empty"):
        model.encode_text(["dog", " "])
    with pytest.raises(DataError, match="nothing to embed"):
        model.encode_text([])
    with pytest.raises(DataError, match="no such folder"):
        model.search("dog", tmp_path / "nowhere")
    with pytest.raises(RunError, match="batch_size is 0"):
        model.encode_text(["dog"], batch_size=0)
    with pytest.raises(ModelError, match="output is 'tf'"):
        model.encode_text(["dog"], output="tf")  # type: ignore[call-overload]
    with pytest.raises(ModelError, match="no such folder"):
        load_run(str(tmp_path / "nothing"))
    shutil.copytree(run, tmp_path / "unfinished", ignore=shutil.ignore_patterns("*.ckpt"))
    with pytest.raises(RunError, match="no such checkpoint"):
        load_run(tmp_path / "unfinished")


def test_a_model_of_experts_says_that_it_reads_no_audio() -> None:
    model = FinishedModel(expert_model(matchers()["moee"]), device="cpu")
    with pytest.raises(ModelError, match=r"^ExpertFeatures reads stored features, no audio; .*pool_test\.safetensors"):
        model.encode_audio([np.zeros(16_000, np.float32)], sample_rate=16_000, progress=False)
    assert model.encode_text(["loud dog"]).shape[0] == 1
