"""All that is measured on a GPU, in one command of under ten minutes.

    python benchmarks/gpu.py --output DIR
    python benchmarks/gpu.py --output DIR --dcase2025 FOLDER --authors FOLDER    # beside two public systems (peers.py)
    python benchmarks/gpu.py --output DIR --rehearsal                            # small models, on a CPU too

Steps of the paper's model (PaSST and roberta-large, random weights) in bf16: eager, compiled, with LoRA, in chunks, for
recordings of 10 and 30 s, 32 pairs and as many as fit; ranking 100,000 queries in 400,000 items; losses in bf16 beside
fp32; ranking and gathering by one process, and by two where there are two cards. Nothing is downloaded. Without a GPU
it is a rehearsal, whose figures say nothing but that everything runs.

`DIR/gpu.json` and the table `DIR/gpu.md` are written after each figure. A part runs in a process of its own: one that
fails is noted, and the rest is measured all the same. A second start with the same folder measures what is missing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from gpu_parts import FULL, REHEARSAL, free_memory, parts_of
from step import Figures
from timing import command_line

from common.atomic_files import replacing
from common.text import cause_of

FINAL = ("done", "out of memory")
"""Outcomes that a second start keeps."""
HEADER = ("part", "setting", "ms", "a second", "of the peak", "GB", "note")
Row = dict[str, Any]


def device_of() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def here(rehearsal: bool) -> dict[str, Any]:
    """The machine that figures are from."""
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {"device": ", ".join(cards) or "CPU", "torch": str(torch.__version__), "rehearsal": rehearsal}


def run_part(connection: Connection, part: str, settings: list[str], rehearsal: bool, *folders: Path | None) -> None:
    """Send (setting, outcome, figures) of each setting of a part."""
    os.setsid()  # so that processes it starts end with it
    measurements = parts_of(REHEARSAL if rehearsal else FULL, device_of(), *folders)[part]
    for setting in settings:
        try:
            figures, outcome = measurements[setting](), "done"
        except torch.OutOfMemoryError:
            figures, outcome = Figures(), "out of memory"
        except Exception as error:  # whatever it is: the others are measured all the same
            figures, outcome = Figures(), f"failed: {type(error).__name__}: {cause_of(error)}"
        free_memory()
        connection.send((setting, outcome, figures))


def rows_of_part(
    part: str, settings: list[str], deadline: float, rehearsal: bool, folders: tuple[Path | None, ...]
) -> Iterator[Row]:
    """A row a setting, as soon as it is measured."""
    left = list(settings)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=run_part, args=(sender, part, settings, rehearsal, *folders))
    process.start()
    sender.close()
    reason = "not measured: no time left"
    try:
        while left and receiver.poll(max(0.0, deadline - time.monotonic())):
            setting, outcome, figures = receiver.recv()
            left.remove(setting)
            yield {"part": part, "setting": setting, "outcome": outcome, **asdict(figures)}
    except EOFError:
        process.join()
        reason = f"failed: the process ended with code {process.exitcode}"
    finally:
        if left and process.is_alive():
            end(process.pid)
        process.join()
    for setting in left:
        yield {"part": part, "setting": setting, "outcome": reason, **asdict(Figures())}


def end(pid: int | None) -> None:
    """End a process and those it started."""
    assert pid is not None
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it had not yet begun a group of its own
        os.kill(pid, signal.SIGKILL)


def read(file: Path, machine: dict[str, Any]) -> dict[tuple[str, str], Row]:
    """Rows of an earlier start by part and setting; those that were not measured are left out."""
    if not file.exists():
        return {}
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
        rows, measured_on = earlier["rows"], earlier["machine"]
    except (ValueError, KeyError, TypeError):
        raise SystemExit(f"error: {file} is no file of this benchmark: give another --output") from None
    if measured_on != machine:
        raise SystemExit(f"error: {file} was measured on {measured_on}, this is {machine}: give another --output")
    return {(row["part"], row["setting"]): row for row in rows if row["outcome"] in FINAL}


def write(folder: Path, machine: dict[str, Any], rows: list[Row]) -> None:
    with replacing(folder / "gpu.json") as file:
        file.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    with replacing(folder / "gpu.md") as file:
        file.write_text(table(machine, rows), encoding="utf-8")


def table(machine: dict[str, Any], rows: list[Row]) -> str:
    """The rows in Markdown; other systems' steps are compared with the eager step of the same setting."""
    ours = {row["setting"]: row["ms"] for row in rows if row["part"] == "step, eager"}
    lines = [", ".join(f"{key}: {value}" for key, value in machine.items()), ""]
    lines += [f"| {' | '.join(HEADER)} |", "| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    for row in rows:
        notes = [row["note"]] if row["outcome"] == "done" else [row["outcome"].replace("|", "/")]
        if row["part"].startswith(("dcase2025", "authors")) and row["ms"] and ours.get(row["setting"]):
            notes.append(f"{row['ms'] / ours[row['setting']]:.2f} times ours")
        ms, per_second, share, gb = (row[key] for key in ("ms", "per_second", "share", "gb"))
        cells = [row["part"], row["setting"], shown(ms, "{:,.1f}"), shown(per_second, "{:,.1f}")]
        cells += [shown(share, "{:.1%}"), shown(gb, "{:.1f}"), ", ".join(filter(None, notes))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rehearsal", action="store_true", help="small models and pools; always so without a GPU")
    parser.add_argument("--minutes", type=float, default=10.0, help="after so many no more is measured")
    parser.add_argument("--dcase2025", type=Path, metavar="FOLDER", help="of the DCASE 2025 baseline's code")
    parser.add_argument("--authors", type=Path, metavar="FOLDER", help="of the paper authors' code")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    rehearsal = options.rehearsal or not torch.cuda.is_available()
    machine, folders = here(rehearsal), (options.dcase2025, options.authors)
    known = read(options.output / "gpu.json", machine)
    options.output.mkdir(parents=True, exist_ok=True)
    for part, measurements in parts_of(REHEARSAL if rehearsal else FULL, device_of(), *folders).items():
        missing = [setting for setting in measurements if (part, setting) not in known]
        if not missing:
            continue
        print(f"{part} ...", flush=True)
        for row in rows_of_part(part, missing, deadline, rehearsal, folders):
            known[part, row["setting"]] = row
            write(options.output, machine, list(known.values()))
            print(f"  {row['setting']}: {row['outcome']}", flush=True)
    print((options.output / "gpu.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
