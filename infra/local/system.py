"""The whole system on one computer: embedded cloud, deployed stack, first users and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from infra.local.cloud import CloudError, EmbeddedCloud
from infra.local.deploy import client, deploy
from infra.local.home import Home
from infra.local.ministack import REGION
from infra.local.seed import LABS, seed

AT_START = (("ingest", "reconcile"), ("dispatch", "sweep"), ("analysis", "snapshot"))
"""Scheduled events that are sent once at each start: they make good what a kill interrupted."""

Progress = Callable[[str], None]


class System:
    """Fornix on one computer.

    Parameters
    ----------
    home
        State folder.
    own_dynamodb
        Use ministack's DynamoDB even where dynoxide could run.
    """

    def __init__(self, home: Home, *, own_dynamodb: bool = False) -> None:
        self.home = home
        self.cloud = EmbeddedCloud(home, own_dynamodb=own_dynamodb)

    def start(self, progress: Progress = lambda _: None) -> None:
        """Bring everything up, or back to where it was; safe to interrupt and to repeat.

        Raises
        ------
        CloudError
            If a part cannot start; the message says what to do. Nothing keeps running then.
        """
        if self.cloud.binary is None:
            progress("dynoxide has no build for this machine: using ministack's DynamoDB")
        progress("starting the embedded cloud")
        self.cloud.start()
        try:
            progress("deploying (the first time takes half a minute)")
            deploy(self.cloud, LABS)
            progress("seeding labs, users, subjects")
            seed(self.home)
            progress("reconciling")
            self.reconcile()
        except BaseException:
            self.cloud.stop()
            raise

    def reconcile(self) -> None:
        """Send each stage the event with which it finds work that lost its message."""
        for function, kind in AT_START:
            self.invoke(function, {"kind": kind})

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function and return its answer.

        Raises
        ------
        CloudError
            With the function's error and the end of its log.
        """
        answer = client(self.home, "lambda").invoke(  # type: ignore[attr-defined]
            FunctionName=f"fornix-{function}", Payload=json.dumps(event)
        )
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            raise CloudError(
                f"the function {function} failed on {event}: {payload.decode()}\n"
                + self.function_log(function)
            )
        return json.loads(payload or b"null")

    def function_log(self, function: str, lines: int = 40) -> str:
        """Return the end of a function's log."""
        logs: Any = client(self.home, "logs")
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/fornix-{function}")["events"]
        return "\n".join(event["message"].rstrip() for event in events[-lines:])

    def environment(self) -> dict[str, str]:
        """Return what a program on this computer needs to reach the system as root."""
        key, secret = self.home.root_credentials()
        outputs = json.loads(self.home.deployed.read_text())
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.home.gateway_url,
            "AWS_ENDPOINT_URL_DYNAMODB": self.home.gateway_url,
            "FORNIX_API_URL": self.home.api_url,
            "FORNIX_SITE_URL": self.home.site_url,
            "FORNIX_TABLE": outputs["TableName"],
            "FORNIX_DATA_BUCKET": outputs["DataBucket"],
            "FORNIX_SITE_BUCKET": outputs["SiteBucket"],
            "FORNIX_LABS": ",".join(LABS),
        }

    def stop(self) -> None:
        """Stop cleanly."""
        self.cloud.stop()
