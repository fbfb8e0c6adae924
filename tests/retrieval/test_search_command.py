"""`search`: a run's model ranks a folder's recordings, or those of its test, in a terminal."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch
import yaml

from cli.__main__ import main
from common.errors import RunError
from evaluation.evaluator import evaluate
from experiments.results.pool_file import read_pool, write_pool
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RunFolder, find_run
from retrieval.search_model import example_queries
from retrieval.search_store import read_windows
from tests.support.corpus import CLIPS
from tests.support.recordings import NAMES, damage, embedded, model_of, other_weights, tiny_run, write_recordings

ROW = re.compile(r"│ (\d+) +│ (-?\d\.\d+) +│ (.+?) +│ +([\d.]*) │(?: +([\d. -]*) │)?")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("made"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run that a test may damage, in another place than where it was made."""
    return Path(shutil.copytree(made, tmp_path / "tiny" / "0"))


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder of recordings that a test may damage."""
    return write_recordings(tmp_path / "audio")


def ranking(text: str) -> list[tuple[int, float, str, str]]:
    """Rank, similarity, name and seconds of each row that was printed."""
    return [(int(row[1]), float(row[2]), row[3], row[4]) for row in ROW.finditer(text)]


def index_of(run: Path) -> Path:
    (file,) = (run / "search").glob("[!.]*.arrow")
    return file


def test_a_folder_is_searched(run: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = ["distant bird", "steady engine"]
    assert main(["search", "--run", str(run), "--audio", str(audio), *queries, "--top", "5"]) == 0
    out = capsys.readouterr().out
    model = model_of(run)
    vectors = np.stack([embedded(model, audio / name) for name in NAMES])
    end_of_long = embedded(model, audio / "long.wav", from_end=True)
    titles = [out.index(query) for query in queries]
    for query, text in zip(queries, (out[titles[0] : titles[1]], out[titles[1] :]), strict=True):
        with torch.inference_mode():
            vector = model.embed_text([query])[0].numpy()
        similarities = vectors @ vector
        similarities[-1] = max(similarities[-1], end_of_long @ vector)  # long.wav, by its best window
        best = np.argsort(-similarities)[:5]
        rows = ranking(text)
        assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
        assert [row[2] for row in rows] == [NAMES[i] for i in best]
        np.testing.assert_allclose([row[1] for row in rows], similarities[best], atol=6e-4)
        assert {row[2]: row[3] for row in rows}.get("long.wav", "3.0") == "3.0"


def test_a_second_search_embeds_what_is_new(run: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--run", str(run.parent), "--audio", str(audio), "loud dog"]  # the experiment has one run
    assert main(["search", *command]) == 0
    file = index_of(run)
    assert f"index: {file}: 7 recordings, 8 windows of at most 2 s" in capsys.readouterr().out
    assert main(["search", *command]) == 0
    assert f"index: {file}: 7 recordings, 7 of them embedded before" in capsys.readouterr().out
    (audio / "a.wav").unlink()
    soundfile.write(audio / "deep" / "new.wav", np.ones(8000) / 2, 8000)
    assert main(["search", *command]) == 0
    out = capsys.readouterr().out
    assert f"index: {file}: 7 recordings, 6 of them embedded before" in out
    assert {row[2] for row in ranking(out)} == {*NAMES, "deep/new.wav"} - {"a.wav"}


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def with_other_vectors(file: Path) -> None:
    """All but a byte in the middle of an embedding is as it was."""
    vectors = read_windows(file).vectors.copy().tobytes()
    content = bytearray(file.read_bytes())
    content[content.index(vectors) + len(vectors) // 2] ^= 1
    file.write_bytes(content)


def of_another_kind(file: Path) -> None:
    table = pa.table({"name": ["a.wav"]})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("damage_index", [truncated, with_other_vectors, of_another_kind])
def test_a_damaged_index_is_made_again(
    run: Path,
    audio: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    damage_index: Callable[[Path], None],
) -> None:
    command = ["--run", str(run), "--audio", str(audio), "loud dog"]
    assert main(["search", *command]) == 0
    file, rows = index_of(run), ranking(capsys.readouterr().out)
    damage_index(file)
    assert main(["search", *command]) == 0
    assert f"{file}: cannot be read, so its recordings are embedded again" in caplog.text
    assert ranking(capsys.readouterr().out) == rows
    caplog.clear()
    assert main(["search", *command]) == 0
    assert "7 of them embedded before" in capsys.readouterr().out
    assert "cannot be read" not in caplog.text


@pytest.mark.slow
def test_other_weights_make_the_index_again(run: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--run", str(run), "--audio", str(audio), "loud dog"]
    assert main(["search", *command]) == 0
    shutil.copyfile(other_weights(run, run.parent), run / "checkpoints" / "best.ckpt")
    assert main(["search", *command]) == 0
    assert "embedded before" not in capsys.readouterr().out
    expected = [embedded(model_of(run), audio / name) for name in NAMES]
    expected.append(embedded(model_of(run), audio / "long.wav", from_end=True))
    np.testing.assert_allclose(read_windows(index_of(run)).vectors, np.stack(expected), atol=1e-6)


@pytest.mark.slow
def test_the_run_s_own_length_of_crops_counts(run: Path, audio: Path) -> None:
    config = yaml.safe_load((run / "config_fit.yaml").read_text())
    config["data"]["init_args"]["max_seconds"] = 0.5
    (run / "config_fit.yaml").write_text(yaml.safe_dump(config))
    assert main(["search", "--run", str(run), "--audio", str(audio), "dog"]) == 0
    index = read_windows(index_of(run))
    assert index.facts["window"] == "0.5"
    names, starts = index.table["name"].to_pylist(), index.table["start"].to_pylist()
    assert [names.count(name) for name in NAMES] == [1, 2, 2, 2, 2, 1, 6]
    for name in NAMES:
        row = names.index(name)
        np.testing.assert_allclose(index.vectors[row], embedded(model_of(run), audio / name, 0.5), atol=1e-6)
    np.testing.assert_allclose(starts[-6:], [0, 0.5, 1, 1.5, 2, 2.5])


def test_broken_files_are_named_at_each_search(
    run: Path, audio: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    damage(audio)
    for _ in range(2):
        caplog.clear()
        assert main(["search", "--run", str(run), "--audio", str(audio), "dog"]) == 0
        assert len(re.findall("left out: ", caplog.text)) == 3
        assert "7 of 10 recordings" in capsys.readouterr().out


def test_without_a_folder_the_run_s_test_is_searched(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--run", str(run), "loud dog"]) == 0
    rows = ranking(capsys.readouterr().out)
    pool = read_pool(RunFolder(run).pool("test"))
    with torch.inference_mode():
        similarities = (pool.audio @ model_of(run).embed_text(["loud dog"])[0]).numpy()
    lengths = {name.strip(): f"{seconds:.1f}" for name, _, _, seconds in CLIPS["evaluation"]}
    assert [row[2].strip() for row in rows] == [pool.names[i].strip() for i in np.argsort(-similarities)]
    assert {row[2].strip(): row[3] for row in rows} == lengths


def test_without_the_test_s_files_there_are_names(
    run: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = yaml.safe_load((run / "config_fit.yaml").read_text())
    config["data"]["init_args"]["root"] = "nowhere"
    (run / "config_fit.yaml").write_text(yaml.safe_dump(config))
    assert main(["search", "--run", str(run), "loud dog"]) == 0
    assert [row[3] for row in ranking(capsys.readouterr().out)] == ["", "", "", ""]
    assert "so there are names only" in caplog.text


def test_a_test_of_other_weights_is_not_searched(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = RunFolder(run).pool("test")
    pool = read_pool(path)
    pool.text = pool.text.flip(1)
    write_pool(path, evaluate("test", pool))
    assert main(["search", "--run", str(run), "dog"]) == 1
    assert "pool_test.safetensors: embedded with other weights than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no query: say in words what you want to hear"),
        ([" "], "a query is empty; say in words what you want to hear"),
        (["dog\udcff"], "a query is not UTF-8; say in words what you want to hear"),
        (["dog", "--run", ""], ".: no run (no config_fit.yaml in it); give a folder such as"),
        (["\u200b"], "a query is empty; say in words what you want to hear"),
        (["dog " * 2000, "--top", "0"], "--top is 0; give at least 1"),
        (["dog", "--audio", "nowhere"], "nowhere: no such folder; give the folder of your recordings"),
        (["dog", "--run", "nowhere"], "nowhere: no run (no config_fit.yaml in it); give a folder such as"),
        (["audio/nowhere", "dog"], "audio/nowhere: no such folder; give the folder of your recordings"),
        (["--port", "99999", "--serve"], "--port is 99999; give a number from 1 to 65535"),
    ],
)
def test_bad_input_ends_in_one_line(
    made: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["search", "--run", str(made), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config_fit.yaml", "a: [", "config_fit.yaml: not YAML"),
        ("config_fit.yaml", "a: 1", "config_fit.yaml: no settings of a model in it"),
        ("config_fit.yaml", "model: {audio_encoder: Sma", "config_fit.yaml: not YAML"),
        (
            "config_fit.yaml",
            "model:\n  audio_encoder: Sma",
            "config_fit.yaml: ends in the middle of a line, so it was cut",
        ),
        (
            "config_fit.yaml",
            "model:\n  audio_encoder: null\n",
            "config_fit.yaml: cannot be built (ArgumentError: the foll",
        ),
        ("config_fit.yaml", None, "0: no run (no config_fit.yaml in it)"),
        ("checkpoints/best.ckpt", None, "best.ckpt: no such checkpoint; finish the run"),
        ("checkpoints/best.ckpt", "x", "best.ckpt: damaged, or not a weights file that can be read safely"),
        (
            "pool_test.safetensors",
            None,
            "0: was not tested; give a FOLDER of recordings, or run `python train.py test` first",
        ),
    ],
)
def test_a_run_that_cannot_be_used(
    run: Path, capsys: pytest.CaptureFixture[str], file: str, content: str | None, message: str
) -> None:
    if content is None:
        (run / file).unlink()
    else:
        (run / file).write_text(content)
    assert main(["search", "--run", str(run), "dog"]) == 1
    assert message in capsys.readouterr().err


def test_an_experiment_with_several_runs_is_not_one(run: Path) -> None:
    assert find_run(run.parent) == find_run(run) == RunFolder(run)
    shutil.copytree(run, run.parent / "1")
    with pytest.raises(RunError, match=r"tiny: holds 2 runs \(0, 1\); give one of them"):
        find_run(run.parent)


def test_examples_are_captions_of_different_recordings(run: Path) -> None:
    folder = RunFolder(run)
    rows = {row["query"]: row["clip_id"] for row in rows_of(read_queries(folder.queries("test")), "text_to_audio")}
    for count in (1, 2, 3, 4, 9):
        examples = example_queries(folder, count)
        assert 1 <= len(examples) <= count
        assert len({rows[example] for example in examples}) == len(examples)
    folder.queries("test").unlink()
    assert example_queries(folder, 3) == []


def test_the_folder_comes_first_and_the_newest_run_is_taken(
    run: Path, audio: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parents[1])
    assert main(["search", str(audio), "loud dog", "--top", "1"]) == 1
    assert "runs: no finished run; `make demo` trains one in three minutes" in capsys.readouterr().err
    Path("runs").mkdir()
    shutil.move(run.parent, "runs/tiny")
    assert main(["search", str(audio), "--top", "1", "loud dog"]) == 0
    out = capsys.readouterr().out
    assert "model: runs/tiny/0 (--run names another)" in out
    assert len(ranking(out)) == 1
