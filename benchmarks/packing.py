"""Does a packing that is killed end like one that is not, and does it find the damaged files?

    python benchmarks/packing.py ROOT --clips 20000 --kills 3 --folder FOLDER

Packs data sets in Clotho's layout: those given, and a synthetic one of so many clips (1 to 3 s of noise and tones, wav
and flac, 16 to 32 kHz). Each is packed uninterrupted; then again, with SIGKILL at random moments, and resumed each time
with the same command. Every file of the two must be the same, byte for byte (SHA-256). Then one recording in a hundred
is damaged (truncated, overwritten with garbage, emptied, or damaged in the middle of its FLAC data, in turn) and the
data set is packed again: failures.csv must name these, the rest must be packed, and `train.py fit` must take some steps
on it. Nothing given is written to: files are linked. Exit code 1 if anything differs.
"""

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from timing import QUIET, TRAIN, command_line, flags, one_thread, timed

RATE = 16000
SPLITS = ("development", "validation", "evaluation")
Kind = str
KINDS: tuple[Kind, ...] = ("truncated", "garbage", "empty", "damaged inside")


def write_corpus(root: Path, clips: int) -> None:
    """A corpus in Clotho's layout: nine tenths of the clips to train on, and a twentieth in each other split."""
    rng = np.random.default_rng(0)
    words = ["dog", "rain", "bell", "engine", "wind", "river", "door", "crowd", "bird", "train"]
    counts = (clips - 2 * (clips // 20), clips // 20, clips // 20)
    (root / "clotho_csv_files").mkdir(parents=True)
    for split, count in zip(SPLITS, counts, strict=True):
        (root / "clotho_audio_files" / split).mkdir(parents=True)
        with (root / "clotho_csv_files" / f"clotho_captions_{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_name", *(f"caption_{i}" for i in range(1, 6))])
            for number in range(count):
                name = f"{split}_{number:05}.{'flac' if number % 2 else 'wav'}"
                soundfile.write(root / "clotho_audio_files" / split / name, *sound(rng), subtype="PCM_16")
                pairs = [rng.choice(words, 2, replace=False) for _ in range(5)]
                writer.writerow([name, *(f"A {a} and then a {b}." for a, b in pairs)])


def sound(rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], int]:
    """Noise and three tones: samples (T,), and their rate in Hz."""
    rate = int(rng.choice([16000, 22050, 24000, 32000]))
    seconds = np.arange(round(rate * rng.uniform(1, 3)), dtype=np.float32) / rate
    tones = [np.sin(2 * np.pi * np.float32(rng.uniform(100, 7000)) * seconds) for _ in range(3)]
    noise = rng.standard_normal(len(seconds), dtype=np.float32)
    return 0.1 * np.sum([noise, *tones], axis=0), rate


def damaged_copy(root: Path, copy: Path) -> dict[str, Kind]:
    """A corpus of links, with one recording in a hundred damaged; what was done to which, by `<split>/<name>`."""
    copy.mkdir()
    (copy / "clotho_csv_files").symlink_to((root / "clotho_csv_files").resolve())
    done: dict[str, Kind] = {}
    rng = np.random.default_rng(1)
    for split in SPLITS:
        folder = copy / "clotho_audio_files" / split
        folder.mkdir(parents=True)
        files = sorted((root / "clotho_audio_files" / split).iterdir())
        chosen = {files[i] for i in rng.choice(len(files), max(1, round(len(files) / 100)), replace=False)}
        for path in files:
            if path in chosen:
                kind = KINDS[len(done) % len(KINDS)]
                (folder / path.name).write_bytes(damaged(path, kind, rng))
                done[f"{split}/{path.name}"] = kind
            else:
                (folder / path.name).symlink_to(path.resolve())
    return done


def damaged(path: Path, kind: Kind, rng: np.random.Generator) -> bytes:
    if kind == "empty":
        return b""
    if kind == "garbage":
        return rng.bytes(path.stat().st_size)
    if kind == "truncated":
        return path.read_bytes()[: path.stat().st_size // 2]
    with tempfile.TemporaryDirectory() as folder:  # a wav file has no damage inside: any bytes are samples
        flac = Path(folder) / "x.flac"
        soundfile.write(flac, *soundfile.read(path), subtype="PCM_16")
        content = bytearray(flac.read_bytes())
    begin, length = len(content) // 2, max(len(content) // 20, 200)
    content[begin : begin + length] = rng.bytes(length)
    return bytes(content)


def command(root: Path, folder: Path, workers: int) -> list[str]:
    options = {"data": "Clotho", "data.root": root, "sample_rate": RATE, "shard_size": 50, "workers": workers}
    return [sys.executable, "-m", "cli", "pack", str(folder), *flags(options)]


def run(words: list[str]) -> float:
    """Seconds that a command takes; ends the benchmark where it fails."""
    seconds, done = timed(lambda: subprocess.run(words, capture_output=True, text=True, env=one_thread(), check=False))
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return seconds


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def killed_packing(words: list[str], folder: Path, shards: Sequence[int], rng: np.random.Generator) -> Iterator[int]:
    """Start the packing, kill it just after so many shards are there, and again; yields how many are."""
    for wanted in shards:
        quiet = subprocess.DEVNULL
        with subprocess.Popen(words, stdout=quiet, stderr=quiet, env=one_thread()) as process:
            while len(list(folder.glob("*.tar"))) < wanted and process.poll() is None:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
        yield len(list(folder.glob("*.tar")))
    run(words)


def fit(root: Path, packed: Path, runs: Path) -> float:
    options = {
        "config": "demo_infonce",
        "data": "Clotho",
        "data.root": root,
        "data.packed": packed,
        "data.batch_size": 16,
        "data.max_seconds": 2,
        "run.root": runs,
        "run.test_after_fit": "false",
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 10,
        "trainer.limit_val_batches": 4,
        **QUIET,
    }
    return run([sys.executable, TRAIN, "fit", *flags(options)])


def check(root: Path, folder: Path, kills: int, workers: int, rng: np.random.Generator) -> bool:
    """Pack, kill, compare, damage; prints what came out."""
    whole, killed, hurt = folder / "whole", folder / "killed", folder / "hurt"
    seconds = run(command(root, whole, workers))
    expected = digests(whole)
    shards = len(list(whole.glob("*.tar")))
    size = sum(path.stat().st_size for path in whole.iterdir()) / 1e6
    recordings = sum(1 for path in (root / "clotho_audio_files").rglob("*") if path.is_file())
    print(f"{root.name}: {recordings} files, {shards} shards, {size:.0f} MB, packed in {seconds:.0f} s", flush=True)
    shutil.rmtree(whole)

    moments = sorted(rng.choice(np.arange(1, shards), min(kills, shards - 1), replace=False).tolist())
    seen = list(killed_packing(command(root, killed, workers), killed, moments, rng))
    found = digests(killed)
    same = found == expected
    print(f"  killed with {', '.join(map(str, seen))} of {shards} shards there, and resumed: ", end="")
    outcome = "all the same" if same else f"NOT the same: {differing(expected, found)}"
    print(f"{len(expected)} files, {outcome}", flush=True)
    shutil.rmtree(killed)

    done = damaged_copy(root, folder / "damaged")
    seconds = run(command(folder / "damaged", hurt, workers))
    with (hurt / "failures.csv").open(newline="") as file:
        failures = {"/".join(Path(row["error"].partition(": ")[0]).parts[-2:]): row for row in csv.DictReader(file)}
    reported = set(done) <= set(failures)
    # What cannot be read for another reason than ours was so before.
    others = {name for name in failures if name not in done}
    print(f"  {len(done)} damaged ({count(done.values())}); {len(failures)} in failures.csv, packed in {seconds:.0f} s")
    for kind in KINDS:
        causes = [cause(failures[name]["error"]) for name, what in done.items() if what == kind and name in failures]
        print(f"    {kind}: {count(causes)}")
    named = all(failures[name]["name"] == name.partition("/")[2] for name in done if name in failures)
    if not reported or others:
        print(f"  NOT reported: {sorted(set(done) - set(failures))[:5]}; not damaged by us: {sorted(others)[:5]}")
    seconds = fit(folder / "damaged", hurt, folder / "runs")
    print(f"  train.py fit on the rest: 10 steps and a validation in {seconds:.0f} s", flush=True)
    for path in (hurt, folder / "damaged", folder / "runs"):
        shutil.rmtree(path)
    return same and reported and named


def count(values: object) -> str:
    counted: Counter[str] = Counter(values)  # type: ignore[call-overload]
    return ", ".join(f"{number} {what}" for what, number in sorted(counted.items()))


def cause(error: str) -> str:
    return error.partition(": ")[2].partition(";")[0].partition(" (")[0]


def differing(one: dict[str, str], other: dict[str, str]) -> str:
    return ", ".join(sorted(name for name in {*one, *other} if one.get(name) != other.get(name))[:5])


def main() -> int:
    parser = command_line(__doc__)
    parser.add_argument("roots", nargs="*", type=Path, help="data sets in Clotho's layout")
    parser.add_argument("--clips", type=int, default=20000, help="of the synthetic data set; 0: none")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, default=None, help="where it works; what it writes is deleted again")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    good = True
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        roots = list(options.roots)
        if options.clips:
            seconds, _ = timed(lambda: write_corpus(folder / "synthetic", options.clips))
            print(f"synthetic: {options.clips} clips written in {seconds:.0f} s", flush=True)
            roots.append(folder / "synthetic")
        for root in roots:
            good &= check(root, folder, options.kills, options.workers, rng)
    print("all as it should be" if good else "NOT as it should be")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
