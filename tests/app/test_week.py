"""The thirty tasks at both sizes: taps, requests and bytes; without a network where it must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.app import colony
from tests.app.conftest import SIZES, laboratory, sign_in
from tests.app.hand import Hand
from tests.app.served import Site
from tests.app.week import WEEK, Task
from tests.processes import until

pytestmark = pytest.mark.browser

BYTES = 600_000
"""Most bytes of a task's requests, both ways: three pictures as they are scaled on the device."""


@pytest.fixture(scope="module", params=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    """A phone or a desk."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(dynamodb_url: str, aws_url: str, size: str) -> Iterator[Site]:
    """A lab of 2,000 animals, fresh for each size."""
    with laboratory(dynamodb_url, aws_url) as site:
        yield site


@pytest.fixture(scope="module")
def hands(browser: Any, lab: Site, size: str) -> Iterator[dict[str, Hand]]:
    """A signed-in member and a stock manager, each with a device of that size."""
    problems: list[str] = []
    found = {}
    for user in (colony.ME, colony.STOCK):
        context = browser.new_context(**{**SIZES[size], "locale": "en-GB"})
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{lab.url}/app/")
        sign_in(page, user)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        found[user] = Hand(page, lab)
    yield found
    for hand in found.values():
        hand.page.context.close()
    assert not problems, problems


@pytest.mark.parametrize("task", WEEK, ids=lambda each: f"{each.number}-{each.do.__name__}")
def test_task(hands: dict[str, Hand], size: str, task: Task) -> None:
    hand = hands[task.user]
    # Given Today, with everything sent; on the phone in a room without a network where that is so
    hand.start()
    if task.offline and size == "phone":
        hand.disconnect()
    # When it is done
    check = task.do(hand)
    # Then it took so many taps, and when the network is back so many requests and bytes
    taps = hand.taps
    hand.connect()
    if task.requests and not task.offline:  # "Saved" was said before, too
        until(lambda: hand.sent() > 0)
    expect(hand.page.locator(".sync")).to_contain_text("Saved")
    assert taps <= task.taps, (taps, task.taps)
    assert hand.sent() <= task.requests, [(r.method, r.path, r.status) for r in hand.site.requests]
    assert hand.bytes <= BYTES
    assert all(each.status < 400 for each in hand.site.requests)
    check()
