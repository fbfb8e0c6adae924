"""Extraction of features: what is written, kills, several processes, files that cannot be read, and mistakes."""

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from filelock import FileLock

from cli.__main__ import main
from datamodules.audio import read_audio, read_info
from datamodules.clotho import Clotho
from datamodules.experts.store import FRAMES, ExpertStore
from retrieval import extraction
from tests.support.annotated_layouts import write_csv
from tests.support.corpus import CLIPS, Corpus, write_corpus
from tests.support.recordings import NAMES, damage, write_recordings
from tests.support.tiny import TinyAudio

ENCODER = ["--expert", "tests.support.tiny.TinyAudio", "--name", "tiny"]
COUNT = sum(map(len, CLIPS.values()))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "clotho")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "PART", 2)


def command(corpus: Corpus, output: Path, *more: str) -> list[str]:
    data = ["--data", "Clotho", "--data.root", str(corpus.root), "--output", str(output), "--dtype", "float32"]
    return ["extract", *data, *ENCODER, *more]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_frames_of_every_recording(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(corpus, tmp_path / "store", "--batch_size", "3")) == 0
    assert f"{COUNT} of {COUNT} recordings extracted; train on them with --data.experts.tiny" in capsys.readouterr().out
    store = ExpertStore(tmp_path / "store")
    assert {
        key: store.facts[key] for key in ("expert", "encoder", "sample_rate", "dim", "data_set", "hop_seconds")
    } == {
        "expert": "tiny",
        "encoder": "TinyAudio",
        "sample_rate": 100,
        "dim": 8,
        "data_set": "Clotho",
        "hop_seconds": None,
    }
    torch.manual_seed(0)
    encoder = TinyAudio().eval()
    data = Clotho(str(corpus.root))
    for split in data.splits:
        names = [row.name for row in data.annotations(split)]
        for name, path in zip(names, data.find_audio(split, names)[1], strict=True):
            assert path is not None
            clip = torch.from_numpy(read_audio(path, read_info(path), 100, max_seconds=30.0))[None]
            with torch.inference_mode():
                expected = encoder(clip, torch.tensor([clip.shape[1]])).numpy()
            np.testing.assert_allclose(store.of(split, name), expected, atol=1e-6)
    table = Clotho(str(corpus.root), experts={"tiny": str(tmp_path / "store")}).read_split("test")
    assert len(table.audio) == len(CLIPS["evaluation"])


def test_a_part_of_a_file_has_the_frames_of_that_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 4000)
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio" / "long.wav", samples, 1000, subtype="FLOAT")
    write_csv(
        tmp_path / "captions.csv",
        ("file_name", "from", "to", "caption"),
        *[("long", "0.5", "1.25", "A dog."), ("long", "3", "9", "Rain."), ("long", "7", "9", "Wind.")],
    )
    columns = ["--data.columns.start", "from", "--data.columns.end", "to"]
    data = ["--data", "AnnotatedFolder", "--data.root", str(tmp_path), "--data.annotations", "captions.csv", *columns]
    store = tmp_path / "store"
    arguments = ["extract", *data, *ENCODER, "--output", str(store), "--dtype", "float32"]
    assert main(arguments) == 0
    assert "left out: long#7-9: " in capsys.readouterr().out
    torch.manual_seed(0)
    encoder = TinyAudio().eval()
    for name, (begin, end) in {"long#0.5-1.25": (500, 1250), "long#3-9": (3000, 4000)}.items():
        clip = torch.from_numpy(soxr.resample(samples[begin:end].astype(np.float32), 1000, 100))[None]
        with torch.inference_mode():
            expected = encoder(clip, torch.tensor([clip.shape[1]])).numpy()
        np.testing.assert_allclose(ExpertStore(store).of("train", name), expected, atol=1e-6)
    plan = json.loads((store / "plan.json").read_text())
    (store / "plan.json").write_text(json.dumps({key: value for key, value in plan.items() if key != "parts_of_files"}))
    assert main(arguments) == 1  # of an earlier version, which took whole files
    assert "(parts_of_files: None before, True now)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_extraction_resumed_gives_the_same_files(corpus: Corpus, tmp_path: Path) -> None:
    assert main(command(corpus, tmp_path / "whole")) == 0
    script = """
        import os, signal, sys
        from cli.__main__ import main
        from retrieval import extraction

        extraction.PART = 2
        frames_of, calls = extraction.frames_of, []

        def killed(*arguments):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return frames_of(*arguments)

        extraction.frames_of = killed
        main(sys.argv[1:])
    """
    arguments = command(corpus, tmp_path / "killed")
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), *arguments], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "parts" / "000000.npy").is_file()
    (tmp_path / "killed" / "parts" / ".000002.1.part.npy").write_bytes(b"half")
    assert main([*arguments, "--data.num_workers", "0"]) == 0
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


@pytest.mark.slow
def test_several_processes_give_the_same_files(corpus: Corpus, tmp_path: Path) -> None:
    assert main(command(corpus, tmp_path / "one")) == 0
    assert main(command(corpus, tmp_path / "two", "--workers", "2")) == 0
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_corrupt_clip_is_named_and_the_rest_extracted(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = CLIPS["evaluation"][0][0]
    corpus.audio("evaluation", name).write_bytes(b"no audio")
    assert main(command(corpus, tmp_path / "store")) == 0
    out = capsys.readouterr().out
    assert f"{COUNT - 1} of {COUNT} recordings extracted" in out
    assert f"left out: {name}: " in out
    assert (tmp_path / "store" / "failures.csv").read_text().startswith("name,error\n")
    assert ("test", name) not in ExpertStore(tmp_path / "store").rows
    assert main(command(corpus, tmp_path / "store")) == 0  # nothing is left to do
    assert f"left out: {name}: " in capsys.readouterr().out


def test_nothing_that_can_be_read_is_one_line(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, clips in CLIPS.items():
        for name, *_ in clips:
            corpus.audio(split, name).write_bytes(b"no audio")
    assert main(command(corpus, tmp_path / "store")) == 1
    error = capsys.readouterr().err
    assert f"none of the {COUNT} recordings could be used" in error
    assert error.count("\n") == 1


def test_a_full_disk_is_one_line_and_the_rest_is_done_later(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save, calls = np.save, []

    def full(path: Path, array: np.ndarray) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        save(path, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        assert main(command(corpus, tmp_path / "store")) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left on device" in error
    assert sorted(path.name for path in (tmp_path / "store" / "parts").iterdir()) == ["000000.json", "000000.npy"]
    assert main(command(corpus, tmp_path / "store")) == 0
    assert main(command(corpus, tmp_path / "whole")) == 0
    assert digests(tmp_path / "store") == digests(tmp_path / "whole")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seed", "1"], r"was made otherwise \(weights_sha256: "),
        (["--expert.dim", "9"], r"was made otherwise \(weights_sha256: "),
        (["--data.max_seconds", "1"], r"\(max_seconds: 30.0 before, 1.0 now\); give another folder, or delete it"),
        (["--name", "other"], r"\(expert: tiny before, other now\)"),
        (["--dtype", "float16"], r"\(dtype: float32 before, float16 now\)"),
    ],
)
def test_a_folder_of_another_extraction_is_refused(
    corpus: Corpus, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(corpus, tmp_path / "store")) == 0
    before = digests(tmp_path / "store")
    capsys.readouterr()
    assert main(command(corpus, tmp_path / "store", *more)) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)
    assert digests(tmp_path / "store") == before


@pytest.mark.parametrize("content", ["", '{"expert": "ti', "[]", "null", "[" * 100_000])
def test_a_damaged_plan_is_one_line(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "store").mkdir()
    plan = tmp_path / "store" / "plan.json"
    plan.write_text(content)
    assert main(command(corpus, tmp_path / "store")) == 1
    told = (
        f"error: {plan}: is damaged, so what is beside it is not known; delete {plan.parent}, or give another folder\n"
    )
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("content", ["", '{"files": [[', "[]", "{}"])
def test_a_damaged_part_is_made_again(corpus: Corpus, tmp_path: Path, content: str) -> None:
    assert main(command(corpus, tmp_path / "whole")) == 0
    parts = tmp_path / "store" / "parts"
    parts.mkdir(parents=True)
    (parts / "000000.json").write_text(content)
    assert main(command(corpus, tmp_path / "store")) == 0
    assert digests(tmp_path / "store") == digests(tmp_path / "whole")


def test_files_that_came_or_went_are_noticed(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(corpus, tmp_path / "store")) == 0
    corpus.audio("evaluation", CLIPS["evaluation"][0][0]).unlink()
    assert main(command(corpus, tmp_path / "store")) == 1
    assert f"was made when {COUNT} of the recordings had a file, now {COUNT - 1} have one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--workers", "0"], "workers is 0; give at least 1"),
        (["--name", "no name"], "name is 'no name'; give letters, digits and underscores"),
        (["--dtype", "int8"], "dtype"),
        (["--seed", "9" * 30], "give a whole number from 0 to 4294967295"),
        (["--data.experts.a", "x"], "leave data.experts and data.packed out"),
    ],
)
def test_wrong_options_are_one_line(
    corpus: Corpus, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(command(corpus, tmp_path / "store", *more))
    except SystemExit as error:
        code = int(error.code or 0)
    error_text = capsys.readouterr().err
    assert code in (1, 2)
    assert message in error_text
    assert error_text.count("\n") == 1


def test_another_process_at_work_is_named(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").mkdir()
    with FileLock(tmp_path / "store" / ".lock"):
        assert main(command(corpus, tmp_path / "store")) == 1
    assert "another process writes it" in capsys.readouterr().err


def test_a_folder_of_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(write_recordings(tmp_path / "audio"))
    data = ["--data", "AudioFolder", "--data.root", str(tmp_path / "audio"), "--output", str(tmp_path / "store")]
    assert main(["extract", *data, *ENCODER]) == 0
    store = ExpertStore(tmp_path / "store")
    assert sorted(name for _, name in store.rows) == sorted(NAMES)
    assert store.frames.dtype == np.float16
    assert "3 could not be used" in capsys.readouterr().out
    facts = json.loads((tmp_path / "store" / "facts.json").read_text())
    assert set(facts["sha256"]) == {FRAMES, "recordings.parquet"}
