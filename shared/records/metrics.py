"""Metrics of the functions, one line of JSON on standard output at a time.

CloudWatch makes metrics from lines in its embedded metric format (AWS, "Specification: Embedded
metric format"). So counting needs no request, no permission and no library. Metrics have no
dimensions, because AWS bills each; the other values of a line can be searched for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from shared.records import env

COUNT, SECONDS = "Count", "Seconds"

METRICS = {
    "UploadsRegistered": COUNT,
    "UploadsRefused": COUNT,
    "FilesRegistered": COUNT,
    "FilesRefused": COUNT,
    "TasksCreated": COUNT,
    "TasksRerun": COUNT,
    "TasksClaimed": COUNT,
    "TasksComplete": COUNT,
    "TasksIncomplete": COUNT,
    "TasksEmpty": COUNT,
    "TasksErrored": COUNT,
    "TasksFailedTwice": COUNT,
    "TasksReturned": COUNT,
    "LeasesExpired": COUNT,
    "OldestWaiting": SECONDS,
    "LabsSilent": COUNT,
    "SessionsPublished": COUNT,
    "BuildsUnchanged": COUNT,
    "NoticesMade": COUNT,
    "MailsSent": COUNT,
    "MailsFailed": COUNT,
    "HooksDelivered": COUNT,
    "HooksFailed": COUNT,
}
"""Every metric with its unit; the dashboard shows each."""


def put(values: Mapping[str, float], **about: str | int) -> None:
    """Print one line of metrics; outside a deployed function nothing is printed.

    Parameters
    ----------
    values
        Values by name.
    **about
        Other values of the line, for example the lab.

    Raises
    ------
    KeyError
        A name is not in ``METRICS``.
    """
    namespace = env.metrics_namespace()
    metrics = [{"Name": name, "Unit": METRICS[name]} for name in values]
    if not namespace or not values:
        return
    line = {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": namespace, "Dimensions": [[]], "Metrics": metrics}
            ],
        },
        **about,
        **values,
    }
    print(json.dumps(line, separators=(",", ":")), flush=True)
