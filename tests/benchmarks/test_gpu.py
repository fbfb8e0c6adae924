"""The benchmark for a GPU runs on a CPU at reduced size, notes what fails, and continues where it ended."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gpu
import pytest
import torch
from gpu_parts import REHEARSAL, parts_of

ROOT = Path(__file__).parents[2]
MACHINE = {"device": "CPU", "torch": "2", "rehearsal": True}


def row(part: str, ms: float | None, outcome: str = "done") -> dict[str, Any]:
    figures = {"ms": ms, "per_second": None, "share": 0.25, "gb": None, "cpu_ms": 0.0, "note": ""}
    return {"part": part, "setting": "10 s, batch 2", "outcome": outcome, **figures}


def start(folder: Path, *arguments: str) -> list[str]:
    command = [
        sys.executable,
        "benchmarks/gpu.py",
        "--output",
        str(folder),
        "--rehearsal",
        "--minutes",
        "60",
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is for the benchmark itself")
@pytest.mark.skipif(not os.environ.get("REHEARSE"), reason="takes several minutes: set REHEARSE=1")
def test_a_rehearsal_measures_everything_and_continues(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    peer = ("--authors", str(tmp_path / "empty"))
    first = start(tmp_path / "out", *peer)
    rows = json.loads((tmp_path / "out" / "gpu.json").read_text())["rows"]
    failed = [row for row in rows if row["outcome"] != "done"]
    assert {row["part"] for row in failed} == {"authors 10 s", "authors 30 s"}
    assert all(row["outcome"].startswith("failed: ModuleNotFoundError: No module named") for row in failed)
    assert {"step, eager", "step, compiled", "step, LoRA", "bf16 beside fp32", "processes: 2"} < {
        r["part"] for r in rows
    }
    assert all((row["ms"] or 0) > 0 or "loss" in row["note"] for row in rows if row not in failed)
    assert "step, eager ..." in first

    again = start(tmp_path / "out", *peer)
    assert [line for line in again if line.endswith(" ...")] == ["authors 10 s ...", "authors 30 s ..."]
    assert len(json.loads((tmp_path / "out" / "gpu.json").read_text())["rows"]) == len(rows)


PARTS = parts_of(REHEARSAL, torch.device("cpu"), None, None)


@pytest.mark.slow
@pytest.mark.parametrize("part", [name for name in PARTS if name != "step, compiled"])  # compiling takes half a minute
def test_each_part_measures_on_a_cpu(part: str) -> None:
    figures = next(iter(PARTS[part].values()))()
    assert (figures.ms or 0) > 0 or "in bf16" in figures.note


@pytest.mark.slow
def test_what_there_is_no_time_for_is_measured_later() -> None:
    (left,) = gpu.rows_of_part("step, fp32", ["10 s, batch 2"], time.monotonic(), True, (None, None))
    assert left["outcome"] == "not measured: no time left"
    assert left["outcome"] not in gpu.FINAL


def test_the_table_compares_systems_and_names_failures() -> None:
    rows = [row("step, eager", 100.0), row("dcase2025 10 s", 250.0), row("step, compiled", None, "out of memory")]
    _, _, _, _, ours, theirs, failed, *_ = gpu.table(MACHINE, rows).splitlines()
    assert ours == "| step, eager | 10 s, batch 2 | 100.0 |  | 25.0% |  |  |"
    assert theirs.endswith("| 2.50 times ours |")
    assert failed.endswith("| out of memory |")


def test_rows_are_kept_if_they_are_final_and_of_this_machine(tmp_path: Path) -> None:
    rows = [row("a", 1.0), row("b", None, "out of memory"), row("c", None, "failed: ValueError: x")]
    gpu.write(tmp_path, MACHINE, rows)
    assert [part for part, _ in gpu.read(tmp_path / "gpu.json", MACHINE)] == ["a", "b"]
    assert gpu.read(tmp_path / "none.json", MACHINE) == {}
    with pytest.raises(SystemExit, match=r"gpu\.json was measured on .*CPU.*, this is .*: give another --output"):
        gpu.read(tmp_path / "gpu.json", {**MACHINE, "device": "another"})
    (tmp_path / "gpu.json").write_text("[1]")
    with pytest.raises(SystemExit, match="is no file of this benchmark: give another --output"):
        gpu.read(tmp_path / "gpu.json", MACHINE)
