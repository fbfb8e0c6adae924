"""A rank's recordings as they are read from streamed shards: to train on, or to evaluate."""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from common.errors import DataError
from datamodules.audio import AudioInfo, crop_bounds, cut_to_length, from_16_bit
from datamodules.batch import Example
from datamodules.sampling.stream_order import Rows, Turn, part_bounds, shuffled_shards, shuffled_within
from datamodules.shards.format import WAV_HEADER
from datamodules.shards.remote import Member, read_wavs
from datamodules.table import SplitTable


class Crops(NamedTuple):
    """How recordings are cut: to `max_seconds` at the shards' rate in Hz, at random where a seed is given.

    Without `decode` no audio is read, and a recording is one sample of silence.
    """

    sample_rate: int
    max_seconds: float | None
    decode: bool
    seed: int | None = None


class Stream(Dataset[Example]):
    """A rank's recordings, to be asked for in turn; each part is read from its beginning to its end.

    Example `turn` depends on nothing but the turn; a turn that does not follow the one before opens the stream again.
    """

    def __init__(self, table: SplitTable, crops: Crops) -> None:
        self.table, self.crops = table, crops
        self._next: Turn | None = None
        self._examples: Iterator[Example] = iter(())

    def read_order(self, epoch: int, part: int) -> Rows:
        """Rows of the table that a part of an epoch reads, shard by shard."""
        raise NotImplementedError

    def give_order(self, epoch: int, part: int) -> Rows:
        """The same rows in the order in which they are given."""
        return self.read_order(epoch, part)

    def captions_of(self, row: int, epoch: int) -> range:
        """Rows of the caption table that go with recording `row`."""
        return self.table.caption_rows(row)

    def __getitem__(self, turn: Turn) -> Example:
        if turn != self._next:
            self._examples = self._from(turn)
        self._next = turn._replace(place=turn.place + 1)
        return next(self._examples)

    def _from(self, turn: Turn) -> Iterator[Example]:
        give = self.give_order(turn.epoch, turn.part)[turn.place :]
        read = self.read_order(turn.epoch, turn.part)
        crops = self._crops(read[np.isin(read, give)], turn.epoch)
        held: dict[int, bytes] = {}
        for row in give.tolist():
            while row not in held:
                read_row, crop = next(crops)
                held[read_row] = crop
            yield self._example(row, held.pop(row), turn.epoch)

    def _crops(self, rows: Rows, epoch: int) -> Iterator[tuple[int, bytes]]:
        """Each of these rows with its crop, as 16-bit samples: what is held in memory should be small."""
        if not self.crops.decode:
            yield from ((row, bytes(2)) for row in rows.tolist())
            return
        columns = ["path", "key", "offset", "split", "name", "frames", "audio_id"]
        audio = self.table.audio.take(rows).select(columns).to_pylist()
        for url, members in groupby(zip(rows.tolist(), audio, strict=True), key=lambda member: member[1]["path"]):
            wanted = list(members)
            wavs = read_wavs(url, [Member(*(about[field] for field in Member._fields)) for _, about in wanted])
            for (row, about), wav in zip(wanted, wavs, strict=True):
                if len(wav) != WAV_HEADER + 2 * about["frames"]:
                    raise DataError(
                        f"{url}: {about['key']}.wav is not as long as the index says; copy all shards again"
                    )
                position = 0.0
                if self.crops.seed is not None:
                    position = np.random.default_rng((self.crops.seed, epoch, about["audio_id"])).random()
                info = AudioInfo(about["frames"], self.crops.sample_rate)
                start, count = crop_bounds(info, info.sample_rate, self.crops.max_seconds, position)
                yield row, wav[WAV_HEADER + 2 * start : WAV_HEADER + 2 * (start + count)]

    def _example(self, row: int, crop: bytes, epoch: int) -> Example:
        audio = self.table.audio.slice(row, 1).to_pylist()[0]
        rows = self.captions_of(row, epoch)
        captions = self.table.captions.slice(rows.start, len(rows)).to_pylist()
        waveform = from_16_bit(crop)
        if audio["gain"] != 1:
            waveform *= np.float32(audio["gain"])
        return Example(
            waveform=cut_to_length(waveform, audio["path"], self.crops.sample_rate, self.crops.max_seconds),
            audio_id=audio["audio_id"],
            name=audio["name"],
            captions=[caption["caption"] for caption in captions],
            caption_ids=[caption["caption_id"] for caption in captions],
        )


class TrainingStream(Stream):
    """An epoch is every recording once, with one of its captions and a random crop, but for an incomplete last batch.

    The shards come in an order drawn from (seed, epoch), one after the other; each rank takes an equal stretch of this
    sequence, and each worker a part of that, which it shuffles within a buffer.

    Args:
        table: of the split.
        crops: with a seed.
        count: recordings of each rank.
        batch_size, parts: of `part_bounds`.
        rank: whose stretch it is.
        buffer: recordings that are held to shuffle them.
    """

    def __init__(
        self, table: SplitTable, crops: Crops, count: int, batch_size: int, parts: int, rank: int, buffer: int
    ) -> None:
        super().__init__(table, crops)
        assert crops.seed is not None
        self.seed, self.rank, self.buffer = crops.seed, rank, buffer
        self.stored = stored_order(table)
        self.shards = np.unique(table.audio["path"].take(self.stored).to_numpy(), return_inverse=True)[1]
        self.first = rank * count
        self.bounds = part_bounds(count, batch_size, parts)

    def read_order(self, epoch: int, part: int) -> Rows:
        """Like `Stream.read_order`."""
        order = self.stored[shuffled_shards(self.shards, self.seed, epoch)]
        return order[self.first + self.bounds[part] : self.first + self.bounds[part + 1]]

    def give_order(self, epoch: int, part: int) -> Rows:
        """Like `Stream.give_order`."""
        return shuffled_within(self.read_order(epoch, part), self.buffer, (self.seed, epoch, self.rank, part))

    def captions_of(self, row: int, epoch: int) -> range:
        """One caption: after as many epochs as a recording has captions, each was there once."""
        rows = self.table.caption_rows(row)
        audio_id = self.table.audio["audio_id"][row].as_py()
        order = np.random.default_rng((self.seed, epoch // len(rows), audio_id, 1)).permutation(rows)
        caption = int(order[epoch % len(rows)])
        return range(caption, caption + 1)


class EvaluationStream(Stream):
    """Recordings from their beginning, with all captions; `rows` (N,) of a rank, those of a shard together."""

    def __init__(self, table: SplitTable, crops: Crops, rows: Rows, batch_size: int, parts: int) -> None:
        super().__init__(table, crops)
        self.rows, self.bounds = rows, part_bounds(len(rows), batch_size, parts)

    def read_order(self, epoch: int, part: int) -> Rows:
        """Like `Stream.read_order`."""
        return self.rows[self.bounds[part] : self.bounds[part + 1]]


def stored_order(table: SplitTable) -> Rows:
    """Rows (N,) of a split's recordings in the order in which they lie in the shards, shard after shard."""
    audio = table.audio
    return np.lexsort((audio["offset"].to_numpy(), audio["path"].to_numpy().astype(str)))
