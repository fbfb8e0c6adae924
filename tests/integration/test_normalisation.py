"""`test` with a normalisation, from the command line to the run folder and `compare`."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli.__main__ import main as command
from tests.support.command_line import parsed
from train import main

pytestmark = pytest.mark.slow


def test_it_stands_beside_the_plain_result_with_what_it_reads(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pq.read_table(run / "queries_test.parquet").to_pydict()
    config = ["--config", str(run / "config_fit.yaml"), "--model.normalisation"]
    listed = "[{class_path: QBNorm, init_args: {beta: 5.0, bank: 9}}, {class_path: DualSoftmax}]"
    assert main(["test", *config, listed]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "mAP@10_qb_norm" in out
    assert "_qb_norm: QBNorm, reads training captions (fair)." in out
    assert "_dual_softmax: DualSoftmax, reads all queries of the split (transductive: not comparable" in out
    after = pq.read_table(run / "queries_test.parquet").to_pydict()
    assert {name: after[name] for name in before} == before
    assert command(["compare", str(run), "--metrics", "text_to_audio/mAP@10_qb_norm"]) == 0
    assert "mAP@10_qb_norm" in capsys.readouterr().out


def test_one_is_named_by_its_class_and_settings(run: Path) -> None:
    name = "--model.normalisation"
    options = parsed("test", "--config", str(run / "config_fit.yaml"), name, "Sinkhorn", f"{name}.iterations", "3")
    chosen = options.config.test.model.normalisation
    assert (chosen.class_path, chosen.init_args.iterations) == ("evaluation.normalised_metrics.Sinkhorn", 3)
