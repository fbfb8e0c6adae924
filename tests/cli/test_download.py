"""The commands, against a server on this machine."""

import hashlib
import io
import zipfile
from pathlib import Path

import py7zr
import pytest
import torch

from cli.__main__ import main
from common.pretrained import PASST, find_weights, github_path
from datamodules.downloads import sources
from tests.support.archives import OWN, cut, write_zip
from tests.support.local_server import Server

CLIPS = {"development": ["rain.wav", " street.wav"], "validation": ["clock.wav"], "evaluation": ["sea.wav"]}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def clotho(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    table = {}
    for split, names in CLIPS.items():
        buffer = io.BytesIO()
        with py7zr.SevenZipFile(buffer, "w") as archive:
            for name in names:
                archive.writef(io.BytesIO(name.encode() * 20_000), f"{split}/{name}")
        files = {
            f"clotho_audio_{split}.7z": buffer.getvalue(),
            f"clotho_captions_{split}.csv": f"captions of {split}".encode(),
            f"clotho_metadata_{split}.csv": f"metadata of {split}".encode(),
        }
        server.files |= {f"/records/4783391/files/{name}": data for name, data in files.items()}
        audio, captions, metadata = map(md5, files.values())
        table[split] = sources.Split(audio, captions, metadata, len(names))
    monkeypatch.setattr(sources, "CLOTHO", table)
    return server


def tree(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


CLOTHO_TREE = sorted(
    [f"clotho_audio_files/{split}/{name}" for split, names in CLIPS.items() for name in names]
    + [f"clotho_csv_files/clotho_{kind}_{split}.csv" for kind in ("captions", "metadata") for split in CLIPS]
)


def test_clotho_is_laid_out_as_it_is_read(clotho: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "clotho"
    command = ["clotho", "--root", str(root), "--mirror", clotho.url + "/"]
    assert main(["download", *command]) == 0
    assert tree(root) == CLOTHO_TREE
    assert not (root / "archives").exists()
    assert (root / "clotho_audio_files/development/ street.wav").read_bytes() == b" street.wav" * 20_000
    out, err = capsys.readouterr()
    assert "development: 2 recordings" in out
    assert not err
    asked = len(clotho.asked)
    assert main(["download", *command]) == 0
    assert len(clotho.asked) == asked  # all is there


def test_a_command_that_broke_off_goes_on(clotho: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "/records/4783391/files/clotho_audio_evaluation.7z"
    whole = clotho.files.pop(name)
    command = ["clotho", "--root", str(tmp_path), "--mirror", clotho.url, "--keep_archives"]
    assert main(["download", *command]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {clotho.url}{name}?download=1: the server answers 404")
    assert error.count("\n") == 1
    clotho.files[name] = whole
    clotho.asked.clear()
    assert main(["download", *command]) == 0
    assert clotho.asked == [(name, None)]
    archives = [f"archives/clotho_audio_{split}.7z" for split in CLIPS]
    assert tree(tmp_path) == sorted(CLOTHO_TREE + archives)


def test_a_folder_that_somebody_filled_half_is_named(
    clotho: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "clotho_audio_files" / "development"
    half.mkdir(parents=True)
    (half / "rain.wav").write_bytes(b"")
    assert main(["download", "clotho", "--root", str(tmp_path), "--mirror", clotho.url]) == 1
    assert capsys.readouterr().err == (f"error: {half}: holds 1 of 2 recordings; delete it and run the command again\n")


def test_another_checksum_ends_in_one_line(clotho: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clotho.files["/records/4783391/files/clotho_captions_development.csv"] = b"damaged"
    assert main(["download", "clotho", "--root", str(tmp_path), "--mirror", clotho.url]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert (
        f"should have the checksum md5:{md5(b'captions of development')}, but came with md5:{md5(b'damaged')}" in error
    )
    assert not tree(tmp_path)


def serve_wavcaps(server: Server, folder: str, archives: dict[str, bytes], page: int = 100) -> None:
    """A source's files as the hub lists them: `page` of them at a time, with SHA-256 for large ones only."""
    contents = {
        f"json_files/{folder}": {"final.json": b"{}"},
        "json_files/blacklist": {"blacklist_exclude_all_ac.json": b"[]"},
        f"Zip_files/{folder}": archives,
    }
    for place, files in contents.items():
        entries: list[dict[str, object]] = [{"type": "directory", "path": f"{place}/empty", "size": 0, "oid": "1"}]
        for name, data in files.items():
            lfs = {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}} if place[0] == "Z" else {}
            entries.append({"type": "file", "path": f"{place}/{name}", "size": len(data), "oid": "2", **lfs})
            server.files[f"/datasets/cvssp/WavCaps/resolve/main/{place}/{name}"] = data
        pages = [entries[at : at + page] for at in range(0, len(entries), page)]
        server.listings[f"/api/datasets/cvssp/WavCaps/tree/main/{place}"] = pages


def test_a_split_source_of_wavcaps_is_unpacked(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    parts = cut(write_zip(folder / "FreeSound.zip"), 20_000)
    serve_wavcaps(server, "FreeSound", {part.name: part.read_bytes() for part in parts}, page=3)
    root = tmp_path / "wavcaps"
    command = ["wavcaps", "--root", str(root), "--mirror", server.url, "--source", "FreeSound"]
    assert main(["download", *command]) == 0
    assert tree(root) == sorted(
        [f"audio/FreeSound/{name}" for name in OWN]
        + ["json_files/FreeSound/final.json", "json_files/blacklist/blacklist_exclude_all_ac.json"]
    )
    assert all((root / "audio/FreeSound" / name).read_bytes() == data for name, data in OWN.items())
    out, err = capsys.readouterr()
    assert f"FreeSound: {len(parts)} files, 0.0 GB" in out
    assert not err


def test_a_harmful_archive_of_wavcaps_writes_nothing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../out.flac", b"1")
    serve_wavcaps(server, "SoundBible", {"SoundBible.zip": buffer.getvalue()})
    assert main(["download", "wavcaps", "--root", str(tmp_path), "--mirror", server.url, "--source", "SoundBible"]) == 1
    error = capsys.readouterr().err
    assert "its member '../../out.flac' goes up with '..'; nothing was unpacked" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [([], "lists no files under json_files/blacklist"), ([{"error": "no"}], "the answer is not a list of files")],
)
def test_another_listing_ends_in_one_line(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: list[dict[str, object]], message: str
) -> None:
    server.listings["/api/datasets/cvssp/WavCaps/tree/main/json_files/blacklist"] = [answer]
    assert main(["download", "wavcaps", "--root", str(tmp_path), "--mirror", server.url]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_audiocaps_says_how_its_audio_is_collected(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{split}.csv": split.encode() for split in ("train", "val", "test")}
    monkeypatch.setattr(sources, "AUDIOCAPS", {name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
    server.files = {sources.AUDIOCAPS_PATH.format(name=name): data for name, data in files.items()}
    assert main(["download", "audiocaps", "--root", str(tmp_path), "--mirror", server.url]) == 0
    assert tree(tmp_path) == ["dataset/test.csv", "dataset/train.csv", "dataset/val.csv"]
    out = capsys.readouterr().out
    assert f"{tmp_path}/audio/train/" in out
    assert "{youtube_id}_{start_time}.flac, Y{youtube_id}.wav, {audiocap_id}.wav" in out


def test_audiocaps_subset_lists(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {name: name.encode() for name in sources.ONCESCU2021}
    monkeypatch.setattr(sources, "AUDIOCAPS", {})
    monkeypatch.setattr(
        sources, "ONCESCU2021", {name: hashlib.sha256(data).hexdigest() for name, data in lists.items()}
    )
    server.files = {sources.ONCESCU2021_PATH.format(name=name): data for name, data in lists.items()}
    command = ["download", "audiocaps", "--subset", "oncescu2021", "--root", str(tmp_path), "--mirror", server.url]
    assert main(command) == 0
    assert tree(tmp_path) == ["oncescu2021/test_full.json", "oncescu2021/val_audioset_5_orig.json"]
    assert "the lists of 428 validation and 816 test clips" in capsys.readouterr().out


def test_passt_prints_the_checksum_it_got(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, buffer)
    server.files[github_path(PASST)] = buffer.getvalue()
    assert main(["download", "passt", "--root", str(tmp_path), "--mirror", server.url]) == 0
    assert hashlib.sha256(buffer.getvalue()).hexdigest() in capsys.readouterr().out
    name = Path(PASST).name
    assert tree(tmp_path) == [name, f"{name}.lock", f"{name}.sha256"]


def test_passt_is_put_where_training_looks_for_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIO_RELEVANCE_CACHE", str(tmp_path))
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(3)}, buffer)
    server.files[github_path(PASST)] = buffer.getvalue()
    assert main(["download", "passt", "--mirror", server.url]) == 0
    assert find_weights(PASST).read_bytes() == buffer.getvalue()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "arguments are required"),
        (["cloto"], "invalid choice: 'cloto'"),
        (["wavcaps", "--source", "Radio"], "invalid choice: 'Radio'"),
        (["clotho", "--mirror", "zenodo.org"], "--mirror zenodo.org: must begin with http:// or https://"),
        (["clotho", "--split", "development"], "unrecognized arguments: --split"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    try:
        code = main(["download", *command])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    error = capsys.readouterr().err
    assert code == (1 if message.startswith("--mirror") else 2)
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_without_py7zr_nothing_is_fetched(
    clotho: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["download", "clotho", "--root", str(tmp_path), "--mirror", clotho.url]) == 1
    assert "py7zr, which unpacks 7z archives, is not installed; run pip install -e '.[data]'" in capsys.readouterr().err
    assert not clotho.asked
