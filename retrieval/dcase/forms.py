"""What a year of the task asks for: the columns of the output, and the metric that ranks systems."""

import re
from dataclasses import dataclass

from common.errors import RunError

PLACES = 10
"""Recordings that a row lists, where it lists the best ones."""


@dataclass(frozen=True)
class Form:
    """The output file of a year.

    Attributes:
        year: of the challenge.
        first: header of the first column, the query.
        listed: header of the n-th best recording, with {} for n; None: one column a recording, whose cells are scores.
        at: k of the mAP@k that ranks systems.
    """

    year: int
    first: str
    listed: str | None
    at: int = 10

    @property
    def metric(self) -> str:
        """What ranks systems."""
        return f"mAP@{self.at}"

    def header(self, names: list[str]) -> list[str]:
        """The first line, where these recordings are ranked."""
        if self.listed is None:
            return [self.first, *names]
        return [self.first, *(self.listed.format(n + 1) for n in range(min(PLACES, len(names))))]


FORMS = {
    form.year: form
    for form in (
        Form(2022, "caption", "file_name_{}"),
        Form(2023, "caption", "fname_{}"),
        Form(2024, "caption", "fname_{}"),
        Form(2025, "index", None, at=16),
    )
}


def check_label(label: str) -> None:
    """Whether a label has the form Surname_Institute_task6_1.

    Raises:
        RunError: it has not.
    """
    if not re.fullmatch(r"[^\W_]+_[^\W_]+_task\d+[a-z]?_[1-9]\d*", label):
        raise RunError(f"--label {label}: give Surname_Institute_task6_1, with the year's task and the system's number")
