"""`search`: a run's model ranks a folder's recordings, or those of its test, in a terminal or on a page."""

import os
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.__main__ import main
from common.errors import RunError
from evaluation.evaluator import evaluate
from evaluation.scores import EmbeddingScores
from experiments.results.embeddings_file import read_embeddings
from experiments.results.pool_file import read_pool, write_pool
from experiments.results.query_table import read_queries, rows_of
from experiments.run_folder import RunFolder, find_run
from retrieval.search_index import Hit, Recordings, SearchIndex, best_hits, example_queries
from retrieval.search_page import answer, build_page, hits_html, serve
from tests.support.corpus import CLIPS
from tests.support.recordings import NAMES, damage, embedded, model_of, other_weights, tiny_run, write_recordings

ROW = re.compile(r"│ (\d+) +│ (-?\d\.\d+) +│ (.+?) +│ +([\d.]*) │")


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


@pytest.fixture(autouse=True)
def _without_gradio(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Only what asks for the page may import it."""
    if "gradio" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "gradio", None)


@pytest.fixture
def gradio() -> Any:
    return pytest.importorskip("gradio", minversion="6")


def ranking(text: str) -> list[tuple[int, float, str, str]]:
    """Rank, similarity, name and seconds of each row that was printed."""
    return [(int(row[1]), float(row[2]), row[3], row[4]) for row in ROW.finditer(text)]


def index_of(run: Path) -> Path:
    (file,) = (run / "search").glob("[!.]*.parquet")
    return file


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_ranking_is_that_of_the_products(count: int, top: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (count, 4)).astype(np.float32)  # many of them equal
    query = rng.integers(-2, 3, 4).astype(np.float32)
    names = [f"{i}.wav" for i in range(count)]
    scores = EmbeddingScores(torch.from_numpy(query)[None], torch.from_numpy(vectors))
    hits = best_hits(scores, Recordings("", names, [None] * count, [float(i) for i in range(count)], vectors), top)
    products = [sum(float(a) * float(b) for a, b in zip(vector, query, strict=True)) for vector in vectors]
    order = sorted(range(count), key=lambda i: (-products[i], i))[:top]
    assert hits == [Hit(rank, products[i], names[i], None, float(i)) for rank, i in enumerate(order, 1)]


def test_a_folder_is_searched(run: Path, audio: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = ["distant bird", "steady engine"]
    assert main(["search", "--run", str(run), "--audio", str(audio), *queries, "--top", "5"]) == 0
    out = capsys.readouterr().out
    model = model_of(run)
    vectors = np.stack([embedded(model, audio / name) for name in NAMES])
    titles = [out.index(query) for query in queries]
    for query, text in zip(queries, (out[titles[0] : titles[1]], out[titles[1] :]), strict=True):
        with torch.inference_mode():
            similarities = vectors @ model.embed_text([query])[0].numpy()
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
    assert f"index: {file}: 7 recordings, 1 longer than 2 s" in capsys.readouterr().out
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


def without_vectors(file: Path) -> None:
    """The end of the file is whole, so that all but the embeddings can be read."""
    chunk = pq.read_metadata(file).row_group(0)
    column = chunk.column(chunk.num_columns - 1)
    content = bytearray(file.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    file.write_bytes(content)


def of_another_kind(file: Path) -> None:
    pq.write_table(pa.table({"name": ["a.wav"]}), file)


@pytest.mark.parametrize("damage_index", [truncated, without_vectors, of_another_kind])
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
    assert f"{file}: cannot be read, so all recordings are embedded again" in caplog.text
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
    expected = np.stack([embedded(model_of(run), audio / name) for name in NAMES])
    np.testing.assert_allclose(read_embeddings(index_of(run)).vectors, expected, atol=1e-6)


@pytest.mark.slow
def test_the_run_s_own_length_of_crops_counts(run: Path, audio: Path) -> None:
    config = yaml.safe_load((run / "config_fit.yaml").read_text())
    config["data"]["init_args"]["max_seconds"] = 0.5
    (run / "config_fit.yaml").write_text(yaml.safe_dump(config))
    assert main(["search", "--run", str(run), "--audio", str(audio), "dog"]) == 0
    index = read_embeddings(index_of(run))
    assert index.facts["max_seconds"] == "0.5"
    expected = np.stack([embedded(model_of(run), audio / name, 0.5) for name in NAMES])
    np.testing.assert_allclose(index.vectors, expected, atol=1e-6)


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
        (["dog", "--top", "0"], "--top is 0; give at least 1"),
        (["dog", "--audio", "nowhere"], "nowhere: no such folder; give the folder of your recordings"),
        (["dog", "--run", "nowhere"], "nowhere: no run (no config_fit.yaml in it); give a folder such as"),
        (["--serve"], "--serve needs gradio: pip install -e '.[search]'"),
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
        ("config_fit.yaml", None, "0: no run (no config_fit.yaml in it)"),
        ("checkpoints/best.ckpt", None, "best.ckpt: no such checkpoint; finish the run"),
        ("checkpoints/best.ckpt", "x", "best.ckpt: damaged, or not a weights file that can be read safely"),
        ("pool_test.safetensors", None, "0: was not tested; give --audio FOLDER, or run `python train.py test` first"),
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


class Always(SearchIndex):
    """Finds everything, in the order it is in."""

    def __init__(self, recordings: Recordings) -> None:
        super().__init__(None, recordings)  # type: ignore[arg-type]

    def search(self, query: str, top: int) -> list[Hit]:
        if not query.strip():
            return super().search(query, top)
        count = len(self.recordings.names)
        rows = zip(self.recordings.names, self.recordings.paths, self.recordings.seconds, strict=True)
        return [Hit(rank, 1 - rank / count, *row) for rank, row in enumerate(rows, 1)][:top]


def test_a_list_shows_names_as_they_are(tmp_path: Path) -> None:
    hits = [
        Hit(1, 0.25, "<b>&.wav", tmp_path / "b.wav", 1.25),
        Hit(2, -0.5, "gone.wav", None, None),
        Hit(3, 1.0000001, "deep/50% #é?.wav", tmp_path / "c.wav", 2.0),
    ]
    html = hits_html(hits)
    assert "&lt;b&gt;&amp;.wav" in html
    assert "<b>" not in html
    assert 'src="recordings/deep/50%25%20%23%C3%A9%3F.wav"' in html
    assert html.count("<audio") == 2
    assert re.findall(r"width: ([\d.]+)%", html) == ["25.0", "0.0", "100.0"]
    assert "-0.500" in html


def test_an_empty_query_is_told_kindly() -> None:
    index = Always(Recordings("", ["a.wav"], [None], [None], np.zeros((1, 2), np.float32)))
    assert answer(index, " ", 3) == '<p class="note">the query is empty; say in words what you want to hear</p>'
    assert "a.wav" in answer(index, "x", 3)


def recordings_of(audio: Path) -> Recordings:
    names = [*NAMES, "gone.wav"]
    paths = [*(audio / name for name in NAMES), None]
    return Recordings("somewhere", names, paths, [None] * 8, np.zeros((8, 2), np.float32))


@pytest.mark.slow
def test_the_page_says_what_it_searches(gradio: Any, audio: Path) -> None:
    page = build_page(Always(recordings_of(audio)), "runs/<x>/0", ["a caption"], 3)
    config = str(page.get_config_file())
    assert "8 recordings of somewhere, ranked by the model of runs/&lt;x&gt;/0" in config
    assert "a caption" in config
    (show, *_) = [function.fn for function in page.fns.values() if function.fn and function.fn.__name__ == "show"]
    assert re.findall(r'class="rank">(\d)', show("dog")) == ["1", "2", "3"]


def test_the_page_gives_out_recordings_and_nothing_else(
    gradio: Any, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (audio / "notes.txt").write_text("x")
    (tmp_path / "secret.wav").write_text("x")
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def status(url: str) -> int:
        try:
            with ask(url) as response:
                assert response.read()
                return int(response.status)
        except HTTPError as error:
            return error.code

    def visit(page: Any) -> None:
        sources = re.findall(r'src="([^"]+)"', answer(index, "dog", 10))
        for source, name in zip(sources, NAMES, strict=True):
            with ask(page.local_url + source) as response:
                assert response.read() == (audio / name).read_bytes()
        begin = urllib.request.Request(page.local_url + sources[0], headers={"Range": "bytes=0-9"})
        with ask(begin) as response:  # players ask for parts
            assert (response.status, len(response.read())) == (206, 10)
        hidden = ["notes.txt", "../secret.wav", "..%2fsecret.wav", str(tmp_path / "secret.wav"), "", "gone.wav"]
        assert {status(f"{page.local_url}recordings/{name}") for name in hidden} == {404}
        files = [audio / "a.wav", audio / "notes.txt", tmp_path / "secret.wav", "/etc/passwd"]
        assert {status(f"{page.local_url}gradio_api/file={path}") for path in files} == {403}
        assert status(page.local_url) == 200
        with pytest.raises(RunError, match=f"the page cannot be served: {page.server_port} is taken; give another"):
            serve(index, "run", [], 10, page.server_port)

    index = Always(recordings_of(audio))
    monkeypatch.setattr(gradio.Blocks, "block_thread", visit)
    serve(index, "run", ["a caption"], 10, None)
    assert "page: http://127.0.0.1:" in capsys.readouterr().out
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    gradio.close_all()
