"""Search in overlapping windows: how recordings are cut, and the span that a hit names."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import soxr

from cli.__main__ import main
from datamodules.audio import AudioInfo
from experiments.run_folder import RunFolder
from retrieval import load_run
from retrieval.search_folder import windows_of
from retrieval.search_store import read_windows
from tests.support.moments import RATE, SECONDS, write_long
from tests.support.recordings import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    return write_long(tmp_path)[1]


@pytest.mark.parametrize(
    ("frames", "seconds", "hop", "starts"),
    [
        (25, 10.0, 5.0, [0, 5, 10, 15]),
        (26, 10.0, 5.0, [0, 5, 10, 15, 16]),
        (24, 10.0, 5.0, [0, 5, 10, 14]),
        (10, 10.0, 5.0, [0]),
        (3, 10.0, 5.0, [0]),
        (11, 10.0, 5.0, [0, 1]),
        (30, 10.0, 10.0, [0, 10, 20]),
    ],
)
def test_the_last_window_reaches_the_end(frames: int, seconds: float, hop: float, starts: list[float]) -> None:
    found = windows_of("a", Path("a"), AudioInfo(frames, 1), seconds, hop)
    assert [window.start for window in found] == starts
    assert {window.of for window in found} == {len(starts)}
    spare = frames - seconds
    assert [window.position for window in found] == [start / spare if spare > 0 else 0 for start in starts]


def test_a_rest_that_is_hardly_longer_gets_no_window_of_its_own() -> None:
    found = windows_of("a", Path("a"), AudioInfo(2001, 100), 10.0, 5.0)
    assert [window.start for window in found] == [0, 5, pytest.approx(10.01)]
    found = windows_of("a", Path("a"), AudioInfo(1001, 100), 10.0, 5.0)
    assert [window.start for window in found] == [0, pytest.approx(0.01)]


def test_each_window_is_that_part_of_the_file(run: Path, audio: Path) -> None:
    assert main(["search", str(audio), "--run", str(run), "--window", "2", "--hop", "0.5", "dog"]) == 0
    index = read_windows(RunFolder(run).search_index(audio, "-2s-0.5s"))
    rows = index.table.to_pylist()
    assert {row["name"] for row in rows} == {f"{name}.wav" for name in SECONDS}
    model = load_run(run, "cpu")
    for row, vector in zip(rows, index.vectors, strict=True):
        samples, _ = soundfile.read(audio / row["name"], dtype="float32")
        read = 2 * RATE + 1  # a sample more, for the resampler
        begin = max(min(round(row["start"] * RATE), len(samples) - read), 0)
        cut = soxr.resample(samples[begin : begin + read], RATE, model.sample_rate)[: 2 * model.sample_rate]
        (alone,) = model.encode_audio([cut], model.sample_rate, progress=False)
        np.testing.assert_allclose(vector, alone, atol=1e-5)


def test_a_hit_names_its_span(run: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", str(audio), "--run", str(run), "loud dog"]
    assert main([*command, "--window", "2", "--hop", "0.5"]) == 0
    out = capsys.readouterr().out
    index, _ = load_run(run, "cpu").index_of(audio, 2.0, 0.5)
    for hit in index.search("loud dog", 3):
        if hit.name == "three.wav":  # shorter than a window
            assert (hit.start, hit.end) == (None, None)
            continue
        assert hit.start is not None
        assert hit.end == hit.start + 2
        assert f"{hit.start:.1f} - {hit.end:.1f}" in out
    assert "best part" in out


def test_each_cut_has_an_index_of_its_own(run: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", str(audio), "--run", str(run), "dog"]
    cuts: list[list[str]] = [[], ["--window", "1"], ["--window", "1", "--hop", "0.5"]]
    for cut in cuts * 2:
        assert main([*command, *cut]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("index: ")]
    assert ["embedded before" in line for line in lines] == [False] * 3 + [True] * 3


def test_an_index_made_before_hops_were_is_still_used(
    run: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", str(audio), "--run", str(run), "dog"]
    assert main(command) == 0
    file = RunFolder(run).search_index(audio)
    table = pa.ipc.open_file(str(file)).read_all()
    facts = {key: value for key, value in table.schema.metadata.items() if key != b"hop"}
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema.with_metadata(facts)) as writer:
        writer.write_table(table.replace_schema_metadata(facts))
    capsys.readouterr()
    assert main(command) == 0
    assert "3 of them embedded before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "0"], "--window is 0; give seconds from 0.1 to 3600"),
        (["--hop", "1"], "--hop goes with --window SECONDS; give both"),
        (["--window", "2", "--hop", "3"], "--hop is 3; give seconds from 0.01 to the window's 2"),
        (["--window", "2"], "--window and --hop cut the recordings of a folder; give a FOLDER"),
    ],
)
def test_bad_lengths_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["search", "--run", str(run), "dog", *options]) == 1
    assert message in capsys.readouterr().err
