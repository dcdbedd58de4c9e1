"""What a task may read of its session's datasets."""

from __future__ import annotations

from collections.abc import Sequence

from shared.datasets.read import with_tag
from shared.records.items import Dataset
from shared.tasks.signature import TaskDeclaration


def readable(task: TaskDeclaration | None, datasets: Sequence[Dataset]) -> Sequence[Dataset]:
    """Return what a task may read: of a release's only what has its tag.

    Parameters
    ----------
    task : TaskDeclaration, optional
        Filled; None of a task that nobody has declared.
    datasets : sequence of Dataset
        Of its session.
    """
    if task is None or not task.of_release:
        return datasets
    return with_tag(datasets, dict(task.arguments)["tag"])
