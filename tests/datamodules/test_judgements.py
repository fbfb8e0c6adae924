"""Files of human judgements: read as written, or refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.judgements.dcase_relevance import read_relevant_clips
from datamodules.judgements.tau_ratings import read_rated_clips
from tests.support.judgements import write_ratings, write_rows

Refused = Callable[[Callable[[], object]], str]


def test_lists_are_read_as_written(tmp_path: Path) -> None:
    rows = [(" a dog, far ", "[' train.wav', \"bird's.wav\"]"), ("rain", "['a.wav']"), ("rain", "[ 'a.wav' ]")]
    path = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), *rows)
    assert read_relevant_clips(path) == {"a dog, far": (" train.wav", "bird's.wav"), "rain": ("a.wav",)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("wind", "a.wav"), "audio_filenames is 'a.wav'; give a list"),
        (("wind", "__import__('os').getcwd()"), "give a list"),
        (("wind", "['a.wav'"), "give a list"),
        (("wind", "[" * 5000), "give a list"),
        (("wind", "('a.wav',)"), "give a list"),
        (("wind", "[1, 2]"), "give a list"),
        (("wind", ""), "audio_filenames is ''; give a list"),
        (("wind", "['a.wav' 'b.wav']"), "audio_filenames has no comma between two names; put one there"),
        (("wind", "[]"), "an empty list"),
        (("wind", "['a.wav', 'b.wav', 'a.wav']"), "names 'a.wav' twice"),
        ((" ", "['a.wav']"), "the query is empty"),
        (("rain", "['b.wav']"), "query 'rain' was listed before with other recordings"),
    ],
)
def test_bad_lists_are_refused(tmp_path: Path, refused: Refused, row: tuple[str, str], message: str) -> None:
    path = write_rows(tmp_path / "lists.csv", ("query", "audio_filenames"), ("rain", "['a.wav']"), row)
    said = refused(lambda: read_relevant_clips(path))
    assert said.startswith(f"{path}, line 3: ")
    assert message in said
    assert len(said) < 300 + len(str(path))


def test_files_without_lists_are_refused(tmp_path: Path, refused: Refused) -> None:
    assert "no such file" in refused(lambda: read_relevant_clips(tmp_path / "lists.csv"))
    path = write_rows(tmp_path / "lists.csv", ("query", "names"), ("rain", "['a.wav']"))
    assert "column 'audio_filenames' is missing (found: query, names)" in refused(lambda: read_relevant_clips(path))
    write_rows(path, ("query", "audio_filenames"))
    assert "holds no queries" in refused(lambda: read_relevant_clips(path))


CAPTIONS = {" street.wav": ["cars pass", "traffic"], "dog.wav": ["a dog barks", "barking"]}


def test_rated_clips_have_clothos_names(tmp_path: Path) -> None:
    rated_clips = read_rated_clips(write_ratings(tmp_path, CAPTIONS), "validation")
    assert rated_clips == {
        "cars pass": {" street.wav": pytest.approx(0.9), "dog.wav": pytest.approx(0.1)},
        "a dog barks": {" street.wav": 0, "dog.wav": pytest.approx(0.9)},
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("audio_metadata/validation_audio_metadata.csv", "file_name", "name", "column 'file_name' is missing"),
        ("audio_metadata/validation_audio_metadata.csv", "dog.wav", " ", "line 3: fid 'f1' has no file_name"),
        ("audio_metadata/validation_audio_metadata.csv", "f1,", "f0,", "line 3: fid 'f0' comes twice"),
        ("audio_metadata/validation_audio_metadata.csv", "f1,", "f7,", "fid 'f1', which is rated, is not in it"),
        (
            "relevance_data/validation_relevances.csv",
            "t00,f1",
            "t00,f0",
            "line 3: fid 'f0' is rated twice for tid 't00'",
        ),
    ],
)
def test_bad_clip_names_are_refused(
    tmp_path: Path, refused: Refused, file: str, old: str, new: str, message: str
) -> None:
    path = write_ratings(tmp_path, CAPTIONS) / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    said = refused(lambda: read_rated_clips(tmp_path, "validation"))
    assert said.startswith(str(path))
    assert message in said


def test_one_clip_of_two_ids_that_is_rated_twice_is_refused(tmp_path: Path, refused: Refused) -> None:
    names = write_ratings(tmp_path, CAPTIONS) / "audio_metadata/validation_audio_metadata.csv"
    names.write_text(names.read_text().replace("dog.wav", " street.wav"))
    said = refused(lambda: read_rated_clips(tmp_path, "validation"))
    assert "validation_relevances.csv: ' street.wav' is rated twice for query 'cars pass'; delete a row" in said


def test_ratings_without_clip_names_are_refused(tmp_path: Path, refused: Refused) -> None:
    (write_ratings(tmp_path, CAPTIONS) / "audio_metadata/validation_audio_metadata.csv").unlink()
    said = refused(lambda: read_rated_clips(tmp_path, "validation"))
    assert "validation_audio_metadata.csv: no such file; get TAU Graded Relevances 2023" in said
