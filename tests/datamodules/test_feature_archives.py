"""Archives of features as others publish them: read without running anything of theirs, and made into stores."""

import collections
import os
import pickle
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.__main__ import main
from common.errors import DataError
from datamodules.clotho import Clotho
from datamodules.experts.archives import read_archive, read_raw_captions
from datamodules.experts.safe_pickle import read_pickle
from datamodules.experts.store import ExpertStore
from tests.support.corpus import Corpus, write_corpus
from tests.support.expert_features import made_up, write_hickle, write_pickle

FEATURES: dict[str, Any] = {
    "one": np.arange(6, dtype=np.float32).reshape(3, 2),
    "two/2": np.ones((1, 2), np.float64),
    "averaged": np.array([1.0, 2.0], np.float32),
    "gone": float("nan"),
    "gone too": np.full((2, 2), np.nan),
}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "clotho")


class Malicious:
    """Runs a call when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def test_plain_values_and_arrays_are_read(tmp_path: Path) -> None:
    content = {
        "array": np.arange(4.0).reshape(2, 2),
        "scalar": np.float64(3.5),
        "text": ["é", b"bytes", 1, 2.5, None, True, {1, 2}, (3,)],
        "ordered": collections.OrderedDict(a=1),
        "default": collections.defaultdict(list, {"x": [1]}),
        "fortran": np.asfortranarray(np.ones((2, 3), np.float16)),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = read_pickle(write_pickle(tmp_path / f"{protocol}.pkl", content, protocol))
        np.testing.assert_array_equal(found["array"], content["array"])
        np.testing.assert_array_equal(found["fortran"], content["fortran"])
        assert found["scalar"] == 3.5
        assert {key: found[key] for key in ("text", "ordered", "default")} == {
            key: content[key] for key in ("text", "ordered", "default")
        }


@pytest.mark.parametrize(
    "function",
    [os.system, subprocess.check_output, eval, exec, getattr, __import__, open, np.load, np.testing.assert_equal],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_executes_nothing(tmp_path: Path, function: Any, protocol: int) -> None:
    mark = tmp_path / "executed"
    argument = f"open({str(mark)!r}, 'w')" if function in (eval, exec) else f"touch {mark}"
    path = write_pickle(tmp_path / "bad.pkl", {"a": Malicious(function, argument)}, protocol)
    with pytest.raises(DataError, match=r"bad.pkl: is no pickle of arrays .*it wants to call .*nothing of it was exec"):
        read_pickle(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cposix\nsystem\n(S'touch executed'\ntR.",
        b"\x80\x04\x8c\x0ddatamodules.x\x8c\x04name\x93.",  # would import a module
        b"\x80\x04\x8c\x08builtins\x8c\x0cdict.fromkeys\x93.",  # a dotted name
        b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system_\x93.",
        b"(S'id'\nQ.",  # a persistent id
        b"",
        b"no pickle",
        pickle.dumps({"a": np.ones(9)})[:-20],
    ],
)
def test_broken_and_crafted_pickles_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"x.pkl: is no pickle of arrays and plain values, or damaged"):
        read_pickle(tmp_path / "x.pkl")


@pytest.mark.parametrize("kind", ["pickle", "hickle"])
def test_archives_of_both_kinds(tmp_path: Path, kind: str) -> None:
    if kind == "hickle":
        pytest.importorskip("h5py")
        path = write_hickle(tmp_path / "x.hickle", FEATURES)
    else:
        path = write_pickle(tmp_path / "x.pkl", FEATURES)
    found = dict(read_archive(path))
    assert set(found) == set(FEATURES)
    assert found["gone"] is found["gone too"] is None
    for name, shape in (("one", (3, 2)), ("two/2", (1, 2)), ("averaged", (1, 2))):
        frames = found[name]
        assert frames is not None
        assert (frames.shape, frames.dtype) == (shape, np.float32)
        np.testing.assert_array_equal(frames, np.atleast_2d(FEATURES[name]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.array([[1.0, np.nan]])}, r"'a' holds NaN or infinity among numbers"),
        ({"a": np.array([[np.inf, 1.0]])}, r"'a' holds NaN or infinity among numbers"),
        ({"a": np.ones((1, 2, 3))}, r"'a' is no table of numbers \(float64, shape \(1, 2, 3\)\)"),
        ({"a": "text"}, r"'a' is no table of numbers"),
        ({"a": [[1.0, 2.0], [3.0]]}, r"'a' is no table: its rows differ in length; get the file again"),
        ({"a": np.full((2, 3), 1e300)}, r"'a' holds numbers that are too large for float32"),
        ({}, r"holds no recordings"),
        ([1, 2], r"holds no dict from ids to frames"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dict(read_archive(write_pickle(tmp_path / "x.pkl", content)))


def test_files_that_are_no_hdf5_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "x.hickle").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"x.hickle: is no HDF5 file, or damaged"):
        dict(read_archive(tmp_path / "x.hickle"))
    with h5py.File(tmp_path / "y.hickle", "w") as file:
        file.create_group("other")
    with pytest.raises(DataError, match=r"y.hickle: has none of the groups data, data_0"):
        dict(read_archive(tmp_path / "y.hickle"))
    with pytest.raises(DataError, match=r"z.hickle: no such archive"):
        dict(read_archive(tmp_path / "z.hickle"))


def test_raw_captions_are_sentences_or_lists_of_words(tmp_path: Path) -> None:
    path = write_pickle(
        tmp_path / "raw-captions.pkl", {"a": [["A", "dog"], ["rain"]], "b": "Wind.", "c": ["Two words"]}
    )
    assert read_raw_captions(path) == {"a": ["A dog", "rain"], "b": ["Wind."], "c": ["Two words"]}
    with pytest.raises(DataError, match="the captions of 'a' are neither text nor lists of words"):
        read_raw_captions(write_pickle(tmp_path / "bad.pkl", {"a": [1]}))


def test_import_features(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Clotho(str(corpus.root))
    names = data.read_names()
    content: dict[str, Any] = {Path(name).stem if i % 2 else name: made_up(name, 3) for i, name in enumerate(names)}
    content[names[0]] = float("nan")
    del content[names[2]]
    archive = write_pickle(tmp_path / "vggish-raw.pkl", content)
    command = ["import-features", str(archive), "--data", "Clotho", "--data.root", str(corpus.root), "--name", "vggish"]
    command += ["--output", str(tmp_path / "store"), "--sample_rate", "16000"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert f"{len(names) - 2} of {len(names)} recordings imported" in out
    assert f"1 have no features (NaN): {names[0]}" in out
    assert f"1 are not in the archive: {names[2]}" in out
    store = ExpertStore(tmp_path / "store")
    assert store.facts["sample_rate"] == 16_000
    assert len(store.facts["archive_sha256"]) == 64
    listed = {recording.name: recording.split for recording in store.recordings}
    assert set(listed) == set(names) - {names[0], names[2]}
    for name, split in listed.items():
        np.testing.assert_array_equal(store.of(split, name), made_up(name, 3))

    assert main(command) == 1
    assert "store: holds a store already; give another folder, or delete it" in capsys.readouterr().err


def test_other_files_of_the_folder_are_not_written_over(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "Clotho", "--data.root", str(corpus.root)]
    archive = write_pickle(tmp_path / "x.pkl", {"sea.wav": np.ones((1, 2))})
    for command, name in (
        (["import-features", str(archive), *data, "--name", "a", "--output"], "frames.npy"),
        (["extract", *data, "--expert", "tests.support.tiny.TinyAudio", "--output"], "failures.csv"),
        (["pack", *data, "--sample_rate", "8000", "--workers", "1"], "shard-000007.tar"),
    ):
        folder = tmp_path / command[0]
        folder.mkdir()
        (folder / name).write_text("mine")
        assert main([*command, str(folder)]) == 1
        assert f"{folder / name}: is of something else, and would be written over" in capsys.readouterr().err
        assert [(path.name, path.read_text()) for path in folder.iterdir()] == [(name, "mine")]
        (folder / name).unlink()
        assert main([*command, str(folder)]) == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--sample_rate 0", "sample_rate is 0; give a number above 0, or leave it out"),
        ("--hop_seconds -0.5", "hop_seconds is -0.5; give a number above 0, or leave it out"),
        ("--hop_seconds .inf", "hop_seconds is inf; give a number above 0, or leave it out"),
        ("--name a-b", "name is 'a-b'; give letters, digits and underscores"),
    ],
)
def test_facts_that_can_not_be_are_refused(
    corpus: Corpus, tmp_path: Path, option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "Clotho", "--data.root", str(corpus.root), "--name", "a", "--output", str(tmp_path / "store")]
    with pytest.raises(SystemExit):
        main(["import-features", str(tmp_path / "x.pkl"), *data, *option.split()])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.ones((1, 2))}, r"has none of the \d+ recordings \(one of its ids is 'x'"),
        ({"x": np.ones((1, 2)), "y": np.ones((1, 3))}, r"has frames of \[2, 3\] dimensions"),
    ],
)
def test_archives_that_do_not_fit(
    corpus: Corpus, tmp_path: Path, content: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_pickle(tmp_path / "x.pkl", content)
    command = ["import-features", str(archive), "--data", "Clotho", "--data.root", str(corpus.root), "--name", "a"]
    assert main([*command, "--output", str(tmp_path / "store")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)
    assert not (tmp_path / "store" / "facts.json").exists()
