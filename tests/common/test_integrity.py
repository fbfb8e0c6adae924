"""A single byte that changed on the disk is noticed."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from common.errors import ModelError, RunError
from common.integrity import check_zip
from experiments.callbacks.atomic_checkpoint_io import AtomicCheckpointIO, read_state_dict
from experiments.results.query_table import read_queries, write_queries
from lightning_modules.weights import read_weights


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as a run writes it, with another one beside it; the middle of the file is inside its weights."""
    path = tmp_path / "last.ckpt"
    (tmp_path / "best.ckpt").touch()
    content = {"pytorch-lightning_version": "2.6.6", "state_dict": {"weight": torch.arange(10000.0)}}
    AtomicCheckpointIO().save_checkpoint(content, path)
    return path


def test_a_whole_file_is_read(checkpoint: Path) -> None:
    check_zip(checkpoint)
    assert torch.equal(read_weights(checkpoint)["weight"], torch.arange(10000.0))
    assert torch.equal(read_state_dict(checkpoint)["weight"], torch.arange(10000.0))


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_flipped_bit_in_a_checkpoint_is_noticed(checkpoint: Path, place: float) -> None:
    check_zip(checkpoint)  # the answer is kept, but of this file only
    flip(checkpoint, int(place * checkpoint.stat().st_size))
    loaded = torch.load(checkpoint, weights_only=True)["state_dict"]["weight"]
    assert not torch.equal(loaded, torch.arange(10000.0))  # torch itself reads it without a word
    for read in (read_state_dict, AtomicCheckpointIO().load_checkpoint):
        message = (
            r"last\.ckpt: is damaged \(its part .*data/0 is not what was written\); restore .*beside it lies best\.ckpt"
        )
        with pytest.raises(RunError, match=message):
            read(checkpoint)
    message = r"last\.ckpt: damaged, or not .*.*; restore it from a copy, take best\.ckpt beside it, or give"
    with pytest.raises(ModelError, match=message):
        read_weights(checkpoint)


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 1000])
def test_what_is_left_of_a_checkpoint_is_called_damaged(checkpoint: Path, content: bytes) -> None:
    checkpoint.write_bytes(content)
    with pytest.raises(
        RunError, match=r"last\.ckpt: is damaged .* beside it lies best\.ckpt: begin another run with --m"
    ):
        AtomicCheckpointIO().load_checkpoint(checkpoint)


def test_weights_of_others_may_be_without_checksums(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.ones(3)}, tmp_path / "model.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(read_weights(tmp_path / "model.pt")["weight"], torch.ones(3))


def test_a_flipped_bit_in_a_table_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "queries_test.parquet"
    table = pa.table({"AP@10": pa.array([i / 7 for i in range(3000)])})
    write_queries(path, {"text_to_audio": table}, {"split": "test"})
    assert read_queries(path)["AP@10"].to_pylist() == table["AP@10"].to_pylist()
    flip(path, path.stat().st_size // 2)
    with pytest.raises(RunError, match=r"queries_test\.parquet: cannot be read \(.*CRC"):
        read_queries(path)
