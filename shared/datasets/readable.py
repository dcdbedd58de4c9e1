"""The datasets of a session that a task may read."""

from __future__ import annotations

from collections.abc import Sequence

from shared.datasets.read import with_tag
from shared.records.items import Dataset
from shared.tasks.signature import TaskDeclaration


def readable(task: TaskDeclaration | None, datasets: Sequence[Dataset]) -> Sequence[Dataset]:
    """Return the datasets that a task may read; a release's task reads only those with its tag.

    Parameters
    ----------
    task : TaskDeclaration, optional
        Filled declaration; None for an undeclared task.
    datasets : sequence of Dataset
        Datasets of its session.
    """
    if task is None or not task.of_release:
        return datasets
    return with_tag(datasets, dict(task.arguments)["tag"])
