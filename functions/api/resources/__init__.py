"""The declarations of all resources, one module per family."""

from functions.api.engine.declarations import KINDS, MODELS, RESOURCES
from functions.api.resources import (  # noqa: F401 - importing declares them
    datasets,
    files,
    imaging,
    insertions,
    notebook,
    people,
    regions,
    repositories,
    sessions,
    subjects,
    surgeries,
    tasks,
    trajectories,
    vocabularies,
    water,
)

__all__ = ["KINDS", "MODELS", "RESOURCES"]
