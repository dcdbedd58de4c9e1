"""A lab as it works today: its rig registers a session, its server plans and runs the pipeline.

Run by a Python that has ibllib, not Fornix: python ibllib_peer.py ADDRESS ACCOUNTS SESSION, where
ACCOUNTS is JSON, ``{"rig": [USER, PASSWORD], "worker": …}``. Prints what became of it as JSON.
With the account of a member, and a mouse for the session, its member loads the mouse's tables.
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


def tables(address: str, account: list[str], mouse: Path) -> dict[str, Any]:
    """Load a mouse's tables as IBL's documentation does, and use brainbox on them."""
    from brainbox.behavior import training
    from one.alf.io import AlfBunch
    from one.api import ONE

    one = ONE(
        base_url=address, username=account[0], password=account[1], silent=True,
        cache_dir=mouse.parent, cache_rest=None,
    )  # fmt: skip
    parameters = one.alyx._par.set("HTTP_DATA_SERVER", f"{address}/data")
    parameters = parameters.set("HTTP_DATA_SERVER_LOGIN", account[0])
    one.alyx._par = parameters.set("HTTP_DATA_SERVER_PWD", account[1])
    trials = one.load_aggregate("subjects", mouse.name, "_ibl_subjectTrials.table")
    status = one.load_aggregate("subjects", mouse.name, "_ibl_subjectTraining.table")
    joined = trials.set_index("session").join(status.set_index("session"))
    joined = joined.sort_values(by="session_start_time", kind="stable")
    joined["training_status"] = joined["training_status"].ffill()
    bunch = AlfBunch.from_df(joined.select_dtypes("number"))  # with text all would be objects
    return {
        "statuses": sorted(map(str, joined["training_status"].unique())),
        "first": status.reset_index().to_dict("list"),
        "sessions": list(dict.fromkeys(trials["session"])),
        "performance": float(training.compute_performance_easy(bunch)),
        "n_trials": int(training.compute_n_trials(bunch)),
        "psychometric": [float(x) for x in training.compute_psychometric(bunch)],
        "criterion": training.query_criterion(mouse.name, "in training", one=one),
    }


if __name__ == "__main__":
    address, accounts = sys.argv[1], json.loads(sys.argv[2])
    if "member" in accounts:
        found = tables(address, accounts["member"], Path(sys.argv[3]))
    else:
        found = main(address, accounts, Path(sys.argv[3]))
    print("RESULT " + json.dumps(found, default=str))
