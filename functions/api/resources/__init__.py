"""The declarations of all resources, one module per family."""

from functions.api.engine.declarations import KINDS, MODELS, RESOURCES
from functions.api.resources import (  # noqa: F401 - importing declares them
    cages,
    colony,
    culls,
    datasets,
    files,
    genotyping,
    images,
    imaging,
    insertions,
    licences,
    memberships,
    notebook,
    notifications,
    other_actions,
    own_fields,
    people,
    regions,
    repositories,
    requests,
    sessions,
    signatures,
    subjects,
    surgeries,
    tasks,
    templates,
    trajectories,
    views,
    vocabularies,
    water,
    webhooks,
)

__all__ = ["KINDS", "MODELS", "RESOURCES"]
