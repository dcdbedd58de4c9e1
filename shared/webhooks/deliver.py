"""One try of a delivery: signed, sent to a checked address, recorded."""

from __future__ import annotations

import logging
from datetime import timedelta

from shared.model import moment
from shared.model.webhooks import DeliveryState, HookTry, signature
from shared.records import documents, env
from shared.webhooks import addresses, follow, store
from shared.webhooks.addresses import RefusedAddress
from shared.webhooks.store import Delivery

log = logging.getLogger(__name__)

WAITS = tuple(timedelta(seconds=each) for each in (30, 120, 600, 3_600, 21_600))
"""Waits between tries; a delivery is given up about seven hours after the first one."""

SECONDS = 10.0
"""Seconds to wait for an answer."""

EARLY = timedelta(seconds=2)


def deliver(webhook: str, delivery: str) -> DeliveryState | None:
    """Try a delivery, if its time has come.

    Returns
    -------
    DeliveryState or None
        The new state; None if it was not tried.
    """
    item = store.find(webhook, delivery)
    if item is None or item.state in (DeliveryState.DONE, DeliveryState.STOPPED):
        return None
    hook = documents.find("webhook", webhook)
    secret = store.secret_of(webhook)
    if hook is None or secret is None or not hook.body.get("active"):
        store.note(item, item.tried, DeliveryState.STOPPED, None)
        return DeliveryState.STOPPED
    if item.next_at and (left := moment.of_stamp(item.next_at) - moment.now()) > EARLY:
        follow.send(webhook, delivery, left.total_seconds())
        return None
    if not store.claim(item):
        return None
    tried = [*item.tried, attempt(str(hook.body["url"]), secret, item)]
    return _note(item, tried)


def _note(item: Delivery, tried: list[HookTry]) -> DeliveryState:
    """Record how a try ended; announce the next one, or give up."""
    status = tried[-1].status
    if status is not None and 200 <= status < 300:
        store.note(item, tried, DeliveryState.DONE, None)
        return DeliveryState.DONE
    count = int(item.tries)  # the claim has counted this try
    if count > len(WAITS):
        store.note(item, tried, DeliveryState.FAILED, None)
        follow.give_up(item)
        return DeliveryState.FAILED
    wait = WAITS[count - 1]
    store.note(item, tried, DeliveryState.WAITS, moment.now() + wait)
    follow.send(item.webhook, item.sk, wait.total_seconds())
    return DeliveryState.WAITS


def attempt(url: str, secret: str, item: Delivery) -> HookTry:
    """Send a delivery once; an answer of any kind ends the try, and so does no answer."""
    at = moment.now()
    body = item.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "fornix-webhooks",
        "Fornix-Event": item.event,
        "Fornix-Delivery": item.sk,
        "Fornix-Signature": signature(secret, int(at.timestamp()), body),
    }
    said = at.isoformat(timespec="seconds")
    try:
        return HookTry(said, status=_post(url, body, headers))
    except RefusedAddress as error:
        return HookTry(said, error=str(error))


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send a body; return the status of the answer, the only part of it that is read.

    Raises
    ------
    RefusedAddress
        The address is forbidden.
    Unanswered
        There was no answer; the message is the kind of error.
    """
    import urllib3
    from botocore.httpsession import where
    from urllib3.exceptions import HTTPError

    target = addresses.read(url, local=env.is_local())
    address = addresses.resolve(target, local=env.is_local())
    usual = target.port == (443 if target.scheme == "https" else 80)
    named = f"[{target.host}]" if ":" in target.host else target.host
    headers = {**headers, "Host": named if usual else f"{named}:{target.port}"}
    timeout = urllib3.Timeout(connect=SECONDS, read=SECONDS)
    pool: urllib3.HTTPConnectionPool
    if target.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            address,
            target.port,
            server_hostname=target.host,
            assert_hostname=target.host,
            cert_reqs="CERT_REQUIRED",
            ca_certs=where(),
            timeout=timeout,
            retries=False,
        )
    else:
        pool = urllib3.HTTPConnectionPool(address, target.port, timeout=timeout, retries=False)
    with pool:
        try:
            answer = pool.urlopen(
                "POST", target.path, body=body, headers=headers, redirect=False,
                preload_content=False,
            )  # fmt: skip
            answer.close()
            return int(answer.status)
        except HTTPError as error:
            raise Unanswered(type(error).__name__) from error


class Unanswered(RefusedAddress):
    """There was no answer."""
