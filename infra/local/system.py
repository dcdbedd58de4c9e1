"""The whole system on one computer: embedded cloud, deployed stack, first users and records."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from infra.local.cloud import CloudError, EmbeddedCloud
from infra.local.deploy import client, deploy
from infra.local.expiry import expire
from infra.local.home import Home
from infra.local.ministack import REGION
from infra.local.seed import ADMINISTRATOR, LABS, draw_passwords, seed
from infra.settings import RECORDS_READY, ROOT
from infra.sources import code_hash
from lab.client import ClientError

AT_START = (
    ("ingest", "reconcile"),
    ("dispatch", "sweep"),
    ("analysis", "snapshot"),
    ("analysis", "nightly"),
    ("notices", "notices"),
)
"""Scheduled events that are sent once at each start: they repair interrupted work."""

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
        """Start the whole system, or restart it; safe to interrupt and to repeat.

        Raises
        ------
        CloudError
            If a part cannot start; the message says what to do. Nothing keeps running then.
        """
        begun = time.monotonic()

        def tell(message: str) -> None:
            progress(f"{time.monotonic() - begun:5.1f} s  {message}")

        if self.cloud.binary is None:
            tell("dynoxide has no build for this machine: using ministack's DynamoDB")
        tell("starting the embedded cloud")
        self.cloud.claim()
        self.home.discard_unfinished()
        self.cloud.start()
        try:
            deploy(self.cloud, LABS, progress=tell)
            tell("preparing the lists of names and the site")
            with self._prepared():
                tell("seeding labs, users, subjects")
                seed(self.home)
            tell("reconciling")
            self.reconcile()
            tell("ready")
        except ClientError as error:
            self.cloud.stop()
            raise CloudError(f"{error}; the logs are in {self.home.logs}") from error
        except BaseException:
            self.cloud.stop()
            raise

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        """Create the first administrator, and publish the site's fixed files during the block.

        Nothing is done that an earlier start has done.

        Raises
        ------
        CloudError
            With what the program printed.
        """
        done = self.home.path / "prepared"
        mark = code_hash(self._site_files())
        if done.exists() and done.read_text() == mark:
            yield
            return
        password = draw_passwords(self.home)[ADMINISTRATOR]["password"]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "infra.prepare", ADMINISTRATOR],
            cwd=ROOT,
            env=os.environ | self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as run:
            try:
                assert run.stdin  # noqa: S101 - it is a pipe
                assert run.stdout  # noqa: S101
                with contextlib.suppress(BrokenPipeError):  # what it printed says why it ended
                    run.stdin.write(password)
                    run.stdin.close()
                printed = []
                for line in run.stdout:
                    printed.append(line)
                    if line.strip() == RECORDS_READY:
                        yield
                if run.wait():
                    raise CloudError(
                        f"the first administrator and the site's files:\n{''.join(printed)}"
                    )
            finally:
                run.kill()
        done.write_text(mark)

    @staticmethod
    def _site_files() -> list[float]:
        """Return the times at which the site's fixed files changed."""
        files = (*(ROOT / "site").rglob("*.*"), *(ROOT / ".build" / "app").rglob("*.*"))
        return [path.stat().st_mtime for path in sorted(files)]

    def reconcile(self) -> None:
        """Send each stage the event that makes it search for work with a lost message.

        They are sent as by a schedule: without waiting, and failures go to the dead-letter queue.
        ``start`` means that no other event is on its way, so no waiting time is needed.
        """
        lambda_: Any = client(self.home, "lambda")
        self.expire()
        for function, kind in AT_START:
            lambda_.invoke(
                FunctionName=f"fornix-{function}",
                InvocationType="Event",
                Payload=json.dumps({"kind": kind, "start": True}),
            )

    def expire(self) -> None:
        """Let objects expire as S3's own rules do; the embedded cloud only keeps the rules."""
        bucket = json.loads(self.home.deployed.read_text())["DataBucket"]
        expire(client(self.home, "s3"), bucket, datetime.now(UTC))

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
        """Return the environment of a program on this computer that uses the system as root."""
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
