"""Tables of word vectors and what a caption becomes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import ModelError
from lightning_modules.text_encoders import WordVectors
from lightning_modules.text_encoders.word_table import read_table

WORDS = ["the", "dog", "bark", "fly", "Rain", "New York"]
VECTORS = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def binary(path: Path) -> Path:
    entries = b"".join(
        word.replace(" ", "_").encode() + b" " + vector.tobytes() + b"\n"
        for word, vector in zip(WORDS, VECTORS, strict=True)
    )
    path.write_bytes(b"6 3\n" + entries)
    return path


def text(path: Path, header: str = "") -> Path:
    lines = (f"{word} {' '.join(map(repr, vector.tolist()))}\n" for word, vector in zip(WORDS, VECTORS, strict=True))
    path.write_text(header + "".join(lines), encoding="utf-8")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    np.save(path / "vectors.npy", VECTORS)
    (path / "words.txt").write_text("\n".join(WORDS), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["bin", "glove", "word2vec", "folder"])
def test_a_table_of_each_format_is_read(kind: str, tmp_path: Path) -> None:
    if kind == "bin":
        path = binary(tmp_path / "table.bin")
    elif kind == "folder":
        path = folder(tmp_path / "table")
    else:
        path = text(tmp_path / "table.txt", "6 3\n" if kind == "word2vec" else "")
    for _ in range(2):  # the second time from the cache
        table = read_table(str(path))
        assert [word.replace("_", " ") for word in table.rows] == WORDS
        assert np.array_equal(table.vectors, VECTORS)
        assert isinstance(table.vectors, np.memmap)


def test_a_changed_file_is_read_again(tmp_path: Path, cache: Path) -> None:
    path = text(tmp_path / "table.txt")
    read_table(str(path))
    path.write_text("one 1 2\n", encoding="utf-8")
    assert read_table(str(path)).vectors.tolist() == [[1, 2]]
    assert len(list((cache / "word_vectors").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.bin", b"6 3\nthe " + bytes(12) + b"dog " + bytes(5), "ends within word 2 of 6"),
        ("t.bin", b"the dog", "does not begin with the number of words"),
        ("t.txt", b"the 1 2\ndog 1 x\n", "line 2 is not a word and 2 numbers"),
        ("t.txt", b"the 1 2\ndog 1 nan\n", r"the vector of word 2 \('dog'\) is damaged"),
        ("t.txt", b"", "it is empty"),
        ("t.csv", b"", "'.csv' is no table"),
    ],
)
def test_a_bad_table_is_refused_by_name(name: str, content: bytes, message: str, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"^word vectors {path}: {message}.*; give .bin"):
        read_table(str(path))
    assert not list(cache.rglob("*.npy"))


def test_a_bad_folder_is_refused_by_name(tmp_path: Path) -> None:
    path = folder(tmp_path / "table")
    (path / "words.txt").write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"vectors\.npy: float32 of shape \(6, 3\) for 2 words"):
        read_table(str(path))
    (path / "words.txt").unlink()
    with pytest.raises(ModelError, match=r"holds 1 \.npy and 0 \.txt or \.parquet"):
        read_table(str(path))
    with pytest.raises(ModelError, match=r"^word vectors nowhere\.txt: no such file"):
        read_table("nowhere.txt")


@pytest.mark.parametrize(
    ("options", "caption", "expected"),
    [
        ({}, "The dogs, barking.", ["the", "dog", "bark"]),
        ({"lemmatise": False}, "The dogs, barking.", ["the"]),
        ({"lower_case": False}, "Rain! the rain", ["Rain", "the"]),
        ({"edits": 1}, "a dgo flyy; brk", ["dog", "fly", "bark"]),
        ({"edits": 2}, "a ddogg bbbark", ["dog", "bark"]),
        ({"edits": 1}, "ddogg qqqq", []),
    ],
)
def test_words_are_looked_up_by_the_rules(
    options: dict[str, bool], caption: str, expected: list[str], tmp_path: Path
) -> None:
    assert WordVectors(str(folder(tmp_path / "t")), **options).words(caption) == expected  # type: ignore[arg-type]


def test_states_are_rows_of_the_table(tmp_path: Path) -> None:
    encoder = WordVectors(str(folder(tmp_path / "t")), max_words=2)
    states = encoder(["the dog barks", "unheard of", "dog"])
    assert states.lengths.tolist() == [2, 1, 1]
    assert np.array_equal(states.values[0], VECTORS[:2])
    np.testing.assert_allclose(states.values[1, 0], VECTORS.mean(0), rtol=1e-5)
    assert np.array_equal(states.values[2, 0], VECTORS[1])
    assert encoder.count_cut(["the dog barks", "the dog of then"]) == 1
    assert (encoder.longest, encoder.dim, encoder.is_frozen, encoder.state_dict()) == (2, 3, True, {})
    zero = WordVectors(str(tmp_path / "t"), empty="zero")([""])
    assert torch.equal(zero.values, torch.zeros(1, 1, 3))


def test_options_out_of_range_are_refused(tmp_path: Path) -> None:
    path = str(folder(tmp_path / "t"))
    with pytest.raises(ModelError, match=r"^WordVectors: max_words is 0"):
        WordVectors(path, max_words=0)
    with pytest.raises(ModelError, match=r"^WordVectors: edits is 3; give a number from 0 to 2"):
        WordVectors(path, edits=3)
    with pytest.raises(ModelError, match=r"^WordVectors: empty is 'none': give one of mean, zero"):
        WordVectors(path, empty="none")  # type: ignore[arg-type]


def test_glove_from_the_package_index_knows_what_is_like_a_dog() -> None:
    encoder = WordVectors()
    values = torch.nn.functional.normalize(encoder(["dog", "cat", "engine"]).values[:, 0], dim=1)
    assert encoder.dim == 50
    assert values[0] @ values[1] > 0.8 > values[0] @ values[2]
    assert encoder.words("A dog barks, then zzqxv") == ["a", "dog", "barks", "then"]
