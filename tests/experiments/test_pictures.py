"""Pictures for loggers that show them."""

from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure

from experiments.callbacks.pictures import Pictures
from experiments.figures.style import save_figure
from experiments.loggers.csv_logger import MetricsLogger
from experiments.loggers.pictures import log_picture, pixels
from experiments.run_folder import RunFolder
from tests.support.tabled import Tabled
from tests.support.tiny import tiny_model, tiny_trainer


def drawn() -> Figure:
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([1, 2, 0])
    return figure


def test_pixels_of_a_figure_are_those_of_its_file(tmp_path: Path) -> None:
    figure = drawn()
    figure.set_dpi(110)
    save_figure(figure, tmp_path / "figure.png")
    assert pixels(figure).shape == (220, 330, 3)
    np.testing.assert_array_equal(pixels(figure), pixels(tmp_path / "figure.png"))


def test_a_logger_of_numbers_gets_no_picture(tmp_path: Path) -> None:
    logger = MetricsLogger(tmp_path, "metrics.csv")
    log_picture([logger], "figure", drawn(), 3)
    trainer = tiny_trainer(tmp_path, max_epochs=1, logger=[logger], callbacks=[Pictures(RunFolder(tmp_path))])
    trainer.fit(tiny_model(), datamodule=Tabled())
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.mark.slow
def test_tensorboard_gets_a_heat_map_a_validation_and_the_figure(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger = TensorBoardLogger(tmp_path, name="curves")
    folder = RunFolder(tmp_path / "tiny" / "7")
    trainer = tiny_trainer(tmp_path, max_epochs=2, logger=[logger], callbacks=[Pictures(folder)])
    trainer.fit(tiny_model(), datamodule=Tabled())
    save_figure(drawn(), tmp_path / "figure.png")
    log_picture(trainer.loggers, "figure", tmp_path / "figure.png", trainer.global_step)
    written = events.EventAccumulator(logger.log_dir, size_guidance={"images": 0})
    written.Reload()
    steps = {name: [image.step for image in written.Images(name)] for name in written.Tags()["images"]}
    each = [trainer.global_step // 2, trainer.global_step]
    assert steps == {
        "val/text_to_audio/targets_beside_predictions": each,
        "val/audio_to_text/targets_beside_predictions": each,
        "figure": each[1:],
    }
