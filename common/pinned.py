"""Fetch a file whose publisher gives no checksum, and hold on to that of the first copy."""

from pathlib import Path

from filelock import FileLock

from common.atomic_files import replacing
from common.errors import DataError
from common.file_kinds import Fault, page_fault
from common.http import MIRROR, checksum_of, download


def download_pinned(
    url: str, path: Path, checksum: str | None = None, fault: Fault = page_fault, elsewhere: str = MIRROR
) -> str:
    """As `download`, for a file whose publisher gives no checksum: the first copy's is kept in `path` + `.sha256`.

    From then on the file has to have it: a copy that was damaged is fetched again, and one that is fetched again and
    differs is refused. Several processes may call at once: one fetches, the others wait (`path` + `.lock`).

    Returns:
        The SHA-256, 64 hexadecimal digits.

    Raises:
        DataError: as `download`.
    """
    pin = path.with_name(path.name + ".sha256")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            pinned = pin.read_text().split()[:1] if pin.is_file() else []
            known = checksum or (f"sha256:{pinned[0]}" if pinned else None)
            try:
                download(url, path, known, fault, elsewhere)
            except DataError as error:
                if known and not checksum and known in str(error):
                    raise DataError(f"{error}; if the new version is wanted, delete {pin}") from error
                raise
            found = checksum_of(path, "sha256").removeprefix("sha256:")
            if pinned != [found]:
                with replacing(pin) as beside:
                    beside.write_text(f"{found}  {path.name}\n")  # as sha256sum writes and reads it
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); give another folder") from error
    return found
