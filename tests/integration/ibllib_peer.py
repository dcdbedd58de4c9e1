"""A lab as it works today: its rig registers a session, its server plans and runs the pipeline.

Run by a Python that has ibllib, not Fornix: python ibllib_peer.py ADDRESS ACCOUNTS SESSION, where
ACCOUNTS is JSON, ``{"rig": [USER, PASSWORD], "worker": …}``. Prints what became of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
os.environ["MPLBACKEND"] = "Agg"


def main(address: str, accounts: dict[str, list[str]], session: Path) -> dict[str, Any]:
    """Register a session, run all tasks of its pipeline, and return what the server says then."""
    from ibllib.oneibl.registration import IBLRegistrationClient
    from ibllib.pipes.dynamic_pipeline import make_pipeline
    from ibllib.pipes.tasks import run_alyx_task
    from one.api import ONE

    def connect(role: str) -> Any:
        user, password = accounts[role]
        return ONE(
            base_url=address, username=user, password=password, silent=True,
            cache_dir=session.parents[2], cache_rest=None,
        )  # fmt: skip

    client = IBLRegistrationClient(connect("rig"))
    registered, _ = client.register_session(session, file_list=False)
    one = connect("worker")
    pipeline = make_pipeline(session, one=one)
    pipeline.create_alyx_tasks()
    eid = registered["url"].rpartition("/")[2]
    tasks = one.alyx.rest("tasks", "list", session=eid, graph=pipeline.name, no_cache=True)
    for task in tasks:  # by level, as the queue gives them
        run_alyx_task(task, session, one, location="server")
    again = one.alyx.rest("tasks", "list", session=eid, graph=pipeline.name, no_cache=True)
    datasets = one.alyx.rest("datasets", "list", session=eid, no_cache=True)
    return {
        "eid": eid,
        "tasks": {task["name"]: [task["status"], task["log"]] for task in again},
        "datasets": sorted(f"{row['collection']}/{row['name']}" for row in datasets),
        "session": one.alyx.rest("sessions", "read", id=eid, no_cache=True),
        "subject": one.alyx.rest("subjects", "read", id=session.parts[-3], no_cache=True),
    }


if __name__ == "__main__":
    found = main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]))
    print("RESULT " + json.dumps(found, default=str))
