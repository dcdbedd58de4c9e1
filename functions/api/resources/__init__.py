"""The declarations of all resources, one module per family."""

from functions.api.engine.declarations import KINDS, MODELS, RESOURCES
from functions.api.resources import (  # noqa: F401 - importing declares them
    colony,
    data,
    ephys,
    notebook,
    people,
    sessions,
    tasks,
)

__all__ = ["KINDS", "MODELS", "RESOURCES"]
