"""Runs in the Python that has ibllib (see ``lab.tasks.personal``); imports nothing of Fornix.

The order is one argument, JSON: ``session``, ``collection``, ``output_collection``,
``extractors``. The written files are below the session's folder afterwards.
"""

import contextlib
import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

ENVIRONMENT_CODE = 70

OURS = ("RegisterRaw", "TrainingStatus")
"""Tasks of a description that Fornix does itself, beside the extractor."""


def main(order: dict[str, str]) -> int:
    """Run the extractors; their output is the task's log."""
    session = Path(order["session"])
    names = [name.strip() for name in order.get("extractors", "").split(",") if name.strip()]
    names = [name for name in names if not any(each in name for each in OURS)]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            bpod = importlib.import_module("ibllib.io.extractors.bpod_trials")
            classes = [find(name) for name in names]
    except ImportError as error:
        print(f"ibllib, or the project, cannot be imported: {error}")
        return ENVIRONMENT_CODE
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    collection = order["collection"]
    target = session / order["output_collection"]
    with contextlib.redirect_stdout(sys.stderr):
        if not classes:
            extractor = bpod.get_bpod_extractor(session, task_collection=collection)
            extractor.extract(save=True, path_out=target, task_collection=collection)
        for name, one in zip(names, classes, strict=True):
            if "." in name:
                one(session).extract(save=True, path_out=target, task_collection=collection)
            else:
                sync = {} if name.endswith("Bpod") else {"sync_collection": "raw_ephys_data"}
                task = one(session, one=None, location="server", collection=collection, **sync)
                task.output_collection = order["output_collection"]
                task._run(update=False)
    return 0


def find(name: str) -> Any:
    """Return the class with a name: a path, or a task of the projects or of ibllib."""
    if "." in name:
        module, _, own = name.rpartition(".")
        return getattr(importlib.import_module(module), own)
    tasks = importlib.import_module("ibllib.pipes.behavior_tasks")
    if hasattr(tasks, name):
        return getattr(tasks, name)
    return getattr(importlib.import_module("projects.extraction_tasks"), name)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
