import io
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import py7zr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import DataError
from datamodules.downloads.archives import check_name, unpack
from tests.support.archives import FILES, OWN, RNG, cut, write_zip


def write_7z(path: Path, files: dict[str, bytes] = FILES) -> Path:
    # py7zr writes no harmful names, so they are exchanged for the harmless ones before it writes the table of contents.
    with py7zr.SevenZipFile(path, "w") as archive:
        for number, data in enumerate(files.values()):
            archive.writef(io.BytesIO(data), str(number))
        archive.header.files_info.files[:] = [
            {**entry, "filename": name} for entry, name in zip(archive.header.files_info.files, files, strict=True)
        ]
    return path


def unpacked(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("write", [write_zip, write_7z])
def test_recordings_come_into_one_folder(tmp_path: Path, write: Callable[..., Path]) -> None:
    archive = write(tmp_path / ("a.7z" if write is write_7z else "a.zip"), FILES | {"mnt/.DS_Store": b"x"})
    assert unpack(archive, tmp_path / "new" / "audio") == 3
    assert unpacked(tmp_path / "new" / "audio") == OWN
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["audio"]
    archive.unlink()
    assert unpack(archive, tmp_path / "new" / "audio") == 0  # a folder that has its name is whole


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=12), size=st.integers(150, 2000), zip64=st.booleans())
def test_a_split_zip_is_read_like_the_whole(tmp_path: Path, sizes: list[int], size: int, zip64: bool) -> None:
    folder = tmp_path / "audio"
    shutil.rmtree(folder, ignore_errors=True)
    files = {f"x/{number}.flac": RNG.bytes(size) for number, size in enumerate(sizes)}
    for part in cut(write_zip(tmp_path / "F.zip", files), size, zip64):
        assert part.exists()
    assert unpack(tmp_path / "F.zip", folder) == len(files)
    assert unpacked(folder) == {name[2:]: data for name, data in files.items()}
    for part in tmp_path.glob("F.z*"):
        part.unlink()


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP")
def test_a_zip_that_info_zip_split_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, data in (OWN | {"d.flac": RNG.bytes(200_000)}).items():
        (tmp_path / "in" / name).write_bytes(data)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", "S.zip", "in"], cwd=tmp_path, check=True)
    assert (tmp_path / "S.z03").exists()
    unpack(tmp_path / "S.zip", tmp_path / "audio")
    assert unpacked(tmp_path / "audio") == unpacked(tmp_path / "in")


def test_missing_parts_are_named(tmp_path: Path) -> None:
    parts = cut(write_zip(tmp_path / "F.zip"), 20_000)
    parts[1].unlink()
    with pytest.raises(DataError, match=r"F\.zip: cannot be unpacked \(1 of its 7 parts are missing, .* F\.z02\)"):
        unpack(tmp_path / "F.zip", tmp_path / "audio")
    assert not list(tmp_path.glob("audio*"))


HARMFUL = {
    "../out.wav": "goes up with '..'",
    "a/../../out.wav": "goes up with '..'",
    "/outside/out.wav": "is absolute",
    "C:/out.wav": "begins with a drive letter",
    "a\\..\\out.wav": "goes up with '..'",
    "\\\\host\\out.wav": "is absolute",
}


@pytest.mark.parametrize("name", HARMFUL)
@pytest.mark.parametrize("write", [write_zip, write_7z])
def test_names_that_lead_outside_are_refused(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    archive = write(tmp_path / ("a.7z" if write is write_7z else "a.zip"), {"good.wav": b"1", name: b"2"})
    with pytest.raises(DataError) as caught:
        unpack(archive, tmp_path / "deep" / "audio")
    assert f"out.wav' {HARMFUL[name]}; nothing was unpacked" in str(caught.value)
    assert list(tmp_path.iterdir()) == [archive]


@given(st.text(st.sampled_from("./\\:aC"), min_size=1, max_size=8))
def test_a_name_that_passes_stays_inside(name: str) -> None:
    if not check_name(name):
        inside = Path("/inside/folder")
        assert (inside / name).resolve().is_relative_to(inside)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    member = zipfile.ZipInfo("link.wav")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.wav", b"1")
        archive.writestr(member, b"/etc/passwd")
    with pytest.raises(DataError, match=r"its member 'link\.wav' is a link or a device; nothing was unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "audio")
    assert not list(tmp_path.glob("audio*"))


def test_links_in_a_7z_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.wav").write_bytes(b"1")
    (tmp_path / "in" / "link.wav").symlink_to("good.wav")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writeall(tmp_path / "in", "in")
    with pytest.raises(DataError, match=r"its member 'in/link\.wav' is a link or a device; nothing was unpacked"):
        unpack(tmp_path / "a.7z", tmp_path / "audio")
    assert not list(tmp_path.glob("audio*"))


@pytest.mark.parametrize("write", [write_zip, write_7z])
def test_after_an_interruption_only_the_rest_is_written(
    tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write(tmp_path / ("a.7z" if write is write_7z else "a.zip"))
    part = tmp_path / "audio.part"
    part.mkdir()
    (part / "a.wav").write_bytes(bytes(70_000))  # complete by its size, so that it can be told from a new one
    (part / "c.FLAC").write_bytes(b"half")
    unpack(archive, tmp_path / "audio")
    assert unpacked(tmp_path / "audio") == OWN | {"a.wav": bytes(70_000)}
    assert not part.exists()


@pytest.mark.parametrize("write", [write_zip, write_7z])
def test_damage_leaves_no_folder_that_looks_whole(tmp_path: Path, write: Callable[..., Path]) -> None:
    archive = write(tmp_path / ("a.7z" if write is write_7z else "a.zip"))
    data = bytearray(archive.read_bytes())
    data[20_000:20_100] = bytes(100)
    archive.write_bytes(data)
    with pytest.raises(
        DataError, match=r"a\.(7z|zip): cannot be unpacked \(.+\); delete it and run the command again$"
    ):
        unpack(archive, tmp_path / "audio")
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize("name", ["a.zip", "a.7z"])
@pytest.mark.parametrize("content", [b"", b"<html>no such file</html>", b"7z\xbc\xaf\x27\x1c" + bytes(40), b"PK\5\6"])
def test_what_is_no_archive_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"a\.\w+: .+; delete it and run the command again|holds no \.wav") as caught:
        unpack(tmp_path / name, tmp_path / "audio")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("audio*"))


def test_more_than_the_disk_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "a.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=119_000))
    with pytest.raises(DataError, match=r"a\.zip: unpacks to 0\.0 GB, but only 0\.0 GB are free in .*; make room"):
        unpack(archive, tmp_path / "audio")
    assert not list(tmp_path.glob("audio*"))


def test_names_that_come_twice_are_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"x/a.wav": b"1", "y/a.wav": b"2"})
    with pytest.raises(DataError, match=r"a\.zip: holds 2 files called 'a\.wav'"):
        unpack(archive, tmp_path / "audio")


def test_an_archive_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.zip: holds no \.wav or \.flac files"):
        unpack(write_zip(tmp_path / "a.zip", {"a.txt": b"1"}), tmp_path / "audio")
