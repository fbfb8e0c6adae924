"""The data sets and weights that `audio-relevance download` fetches."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from common.errors import DataError
from common.file_kinds import checkpoint_fault, json_fault
from common.http import download, read_json
from common.pinned import download_pinned
from common.pretrained import PASST, github_path
from datamodules.downloads import sources
from datamodules.downloads.archives import holds_files, require_seven_zip, unpack
from datamodules.wavcaps_layout import FOLDERS

MOST_PAGES = 1000
"""Of a list of files; the hub's have 1,000 entries each."""
AUDIOCAPS_AUDIO = """\
AudioCaps has no audio archive: its 10 s clips are collected from YouTube, where 5 to 10 % are gone by now.
From each video `youtube_id` of the csv files take the 10 seconds from `start_time` (s) on, for instance with yt-dlp and
ffmpeg, or take over a collection you have access to. Put the files into

    {audio}/train/   {audio}/val/   {audio}/test/

under one of these names, as flac or wav: {{youtube_id}}_{{start_time}}.flac, Y{{youtube_id}}.wav, {{audiocap_id}}.wav
What is missing is left out in training, with a warning that says how much of each split is there."""


def get_clotho(root: Path, server: str, keep_archives: bool = False) -> None:
    """Clotho v2.1, into `root/clotho_audio_files/<split>/` and `root/clotho_csv_files/`."""
    require_seven_zip()

    def fetch(name: str, folder: Path, md5: str) -> Path:
        download(server + sources.CLOTHO_PATH.format(name=name), folder / name, f"md5:{md5}")
        return folder / name

    for split, files in sources.CLOTHO.items():
        fetch(f"clotho_captions_{split}.csv", root / "clotho_csv_files", files.captions)
        fetch(f"clotho_metadata_{split}.csv", root / "clotho_csv_files", files.metadata)
    for split, files in sources.CLOTHO.items():
        folder = root / "clotho_audio_files" / split
        if not holds_files(folder):
            archive = fetch(f"clotho_audio_{split}.7z", root / "archives", files.audio)
            unpack(archive, folder)
        found = sum(path.suffix == ".wav" for path in folder.iterdir())
        if found < files.recordings:
            raise DataError(
                f"{folder}: holds {found} of {files.recordings} recordings; delete it and run the command again"
            )
        if not keep_archives:
            discard([root / "archives" / f"clotho_audio_{split}.7z"])
        print(f"{folder}: {found} recordings")
    print(f"Train with: python train.py fit --config clotho_listnet.yaml --data.root {root}")


def get_wavcaps(root: Path, server: str, keep_archives: bool = False, source: tuple[str, ...] = ()) -> None:
    """WavCaps, into `root/json_files/` and `root/audio/<folder of the source>/`; all sources, or some of them."""

    def fetch(entry: dict[str, Any], path: Path) -> Path:
        sha256 = entry["lfs"]["oid"] if entry.get("lfs") else None  # small files have none
        url = server + sources.WAVCAPS_PATH.format(path=quote(entry["path"]))
        download(url, path, sha256 and f"sha256:{sha256}", json_fault(entry["size"]))
        return path

    chosen = [FOLDERS[name] for name in FOLDERS if name in source or not source]
    for folder in ["blacklist", *chosen]:
        for entry in hub_files(server, f"json_files/{folder}"):
            fetch(entry, root / "json_files" / folder / Path(entry["path"]).name)
    for folder in chosen:
        audio = root / "audio" / folder
        if not holds_files(audio):
            entries = hub_files(server, f"Zip_files/{folder}")
            print(f"{folder}: {len(entries)} files, {sum(entry['size'] for entry in entries) / 1e9:.1f} GB")
            parts = [fetch(entry, root / "archives" / folder / Path(entry["path"]).name) for entry in entries]
            whole = [part for part in parts if part.suffix == ".zip"]  # the others are its parts
            if len(whole) != 1:
                raise DataError(f"{server}: lists {len(whole)} zip files for {folder} instead of one; unpack by hand")
            unpack(whole[0], audio)
            if not keep_archives:
                discard(parts)
        print(f"{audio}: {sum(1 for _ in audio.iterdir())} recordings")


def get_audiocaps(root: Path, server: str, subset: str | None = None) -> None:
    """Captions of AudioCaps v1, into `root/dataset/`, and how its audio is collected; a subset's lists too."""
    for name, sha256 in sources.AUDIOCAPS.items():
        download(server + sources.AUDIOCAPS_PATH.format(name=name), root / "dataset" / name, f"sha256:{sha256}")
    if subset == "oncescu2021":
        for name, sha256 in sources.ONCESCU2021.items():
            download(server + sources.ONCESCU2021_PATH.format(name=name), root / subset / name, f"sha256:{sha256}")
        print(f"{root / subset}: the lists of 428 validation and 816 test clips (CC BY-NC 4.0)")
    print(AUDIOCAPS_AUDIO.format(audio=root / "audio"))


def get_passt(root: Path, server: str) -> None:
    """PaSST's checkpoint, into the folder where training looks for it, or any other. Compare the checksum it prints."""
    path = root / Path(PASST).name
    sha256 = download_pinned(server + github_path(PASST), path, fault=checkpoint_fault)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, sha256:{sha256}")


def hub_files(server: str, folder: str) -> list[dict[str, Any]]:
    """The files in a folder of WavCaps' repository: `path`, `size` in bytes, for large ones `lfs.oid`, their SHA-256.

    Raises:
        DataError: no connection, or another answer than a list of files.
    """
    url: str | None = server + sources.WAVCAPS_TREE.format(folder=folder)
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    while url:
        if url in seen or len(seen) == MOST_PAGES:
            raise DataError(f"{url}: the list of files has no end, its pages lead on and on; is that the right server?")
        seen.add(url)
        page, following = read_json(url)
        try:
            entries += [entry for entry in page if entry["type"] == "file" and entry["path"] and entry["size"] >= 0]
        except (TypeError, KeyError) as error:
            raise DataError(f"{url}: the answer is not a list of files; is that the right server?") from error
        url = following and urljoin(url, following)
    if not entries:
        raise DataError(f"{server}: lists no files under {folder} of WavCaps; is that the right server?")
    return entries


def discard(archives: list[Path]) -> None:
    """Delete archives that are unpacked, and the two folders above them where that leaves them empty."""
    for archive in archives:
        archive.unlink(missing_ok=True)
    for folder in archives[0].parents[:2]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
