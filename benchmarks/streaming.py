"""How many recordings a second come out of streamed shards, and what an index of 400,000 recordings takes.

    python benchmarks/streaming.py --clips 500 --index 400000

Recordings of 15 to 30 s of noise, packed at 32 kHz; an epoch of crops of 10 s, 32 a batch, one process: streamed from a
folder and from Python's http server on this machine (which sends whole files only), and read at random (`packed`). All
files are in the page cache, so this is what the reading itself costs. The index is made up: one caption a recording.
"""

import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from loading import RATE, write_corpus
from timing import command_line
from torch.utils.data import DataLoader

from datamodules.batch import Batch, collate
from datamodules.examples import PairDataset
from datamodules.sampling.pair_batches import PairBatchSampler
from datamodules.shards import packing
from datamodules.shards.format import COLUMNS, Recording
from datamodules.shards.stream import Crops, TrainingStream
from datamodules.streamed_shards import StreamedShards

SECONDS, BATCH = 10.0, 32


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            time.sleep(2)  # until it listens
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def streamed(shards: str) -> StreamedShards:
    data = StreamedShards(shards, batch_size=BATCH, max_seconds=SECONDS, sample_rate=RATE, num_workers=0, seed=0)
    data.tables["train"] = data.read_split("train")
    return data


def at_random(shards: str) -> DataLoader[Batch]:
    table = streamed(shards).tables["train"]
    sampler = PairBatchSampler(table.captions["audio_row"].to_numpy(), BATCH, 0)
    dataset = PairDataset(table, RATE, SECONDS, 0)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=collate)  # type: ignore[arg-type]


def recordings_a_second(loader: DataLoader[Batch]) -> float:
    began = time.perf_counter()
    count = sum(len(batch.names) for batch in loader)
    return count / (time.perf_counter() - began)


def measure_reading(clips: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        paths = write_corpus(Path(place), clips)
        recordings = [Recording(i, "train", path.name, ["noise"], path) for i, path in enumerate(paths)]
        folder = Path(place) / "shards"
        packing.pack(recordings, folder, RATE, 100, 1)
        with served(folder) as url:
            sources = {
                "read at random": lambda: at_random(str(folder)),
                "streamed from a folder": streamed(str(folder)).train_dataloader,
                "streamed over http": streamed(url).train_dataloader,
            }
            rates: dict[str, list[float]] = {name: [] for name in sources}
            for _ in range(repeats):  # in turns, so that what else the machine does touches all alike
                for name, loader in sources.items():
                    rates[name].append(recordings_a_second(loader()))
    for name, values in rates.items():
        print(f"{name:24} {np.median(values):6.0f} recordings/s ({min(values):.0f} to {max(values):.0f})")


def measure_index(count: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        numbers = np.arange(count)
        columns = {
            "audio_id": numbers,
            "split": ["train"] * count,
            "name": [f"FreeSound/{number}" for number in numbers],
            "captions": [[f"A made-up sentence of usual length about recording {number}."] for number in numbers],
            "shard": [f"shard-{number // 500:06}.tar" for number in numbers],
            "key": [f"{number // 500:06}_{number % 500:06}" for number in numbers],
            "offset": numbers % 500 * 2_000_000,
            "frames": np.full(count, 960_000),
            "gain": np.ones(count),
            "shard_bytes": [None] * count,
            "error": [None] * count,
        }
        table = pa.table({name: pa.array(columns[name], kind) for name, kind in COLUMNS.items()})
        path = Path(place) / "index.parquet"
        pq.write_table(table.replace_schema_metadata({"sample_rate": str(RATE)}), path)
        print(f"an index of {count} recordings: {path.stat().st_size / 1e6:.1f} MB", end="")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        data = streamed(place)
        data.read_captions()
        print(f", read in {time.perf_counter() - began:.1f} s", end="")
        began = time.perf_counter()
        stream = TrainingStream(data.tables["train"], Crops(RATE, SECONDS, True, 0), count // 4, BATCH, 4, 0, 128)
        stream.give_order(0, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
        print(f", an epoch's order in {time.perf_counter() - began:.1f} s, {grown:.0f} MB of memory")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--index", type=int, default=400_000)
    options = parser.parse_args()
    measure_reading(options.clips, options.repeats)
    measure_index(options.index)


if __name__ == "__main__":
    main()
