"""Teachers in a config: names that depend on other settings, and the callback that makes their tables."""

from typing import Any

from lightning.pytorch import Callback

from cli.config_checks import classes_in
from common.errors import RunError
from common.settings import filled_in
from lightning_modules.training.momentum_teacher import MomentumTeacher


def teachers_in(options: Any) -> list[Any]:
    """The settings of every `EstimatedCorrespondence` of parsed options."""
    return [
        part for part in classes_in(options.model.relevance) if part.class_path.endswith(".EstimatedCorrespondence")
    ]


def name_teachers(options: Any) -> None:
    """Replace `{key}` in teachers' names by the setting at that key, as in runs/demo_infonce/{seed_everything}.

    Raises:
        RunError: there is no such setting.
    """
    for part in teachers_in(options):
        try:
            part.init_args.teachers = [filled_in(name, options) for name in part.init_args.teachers]
        except KeyError as error:
            raise RunError(f"a teacher of model.relevance is named by {error}, and there is no such setting") from error


def teacher_callbacks(options: Any) -> list[Callback]:
    """What makes the tables of teachers, and what keeps an average of the model, where the relevance has some."""
    callbacks: list[Callback] = []
    if teachers_in(options):
        from retrieval.teachers import MakeTeacherTables  # opens models of all kinds, which others need not import

        callbacks.append(MakeTeacherTables())
    if any(part.class_path.endswith(".OwnAverage") for part in classes_in(options.model.relevance)):
        callbacks.append(MomentumTeacher())
    return callbacks
