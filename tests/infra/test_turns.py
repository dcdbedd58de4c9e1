"""Many clients of one computer: a few are answered at once, the others wait for their turn."""

from __future__ import annotations

import asyncio
from typing import Any

from infra.local.front import Turns


class Cloud:
    """Answers 200 when it is let; counts who is inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.let = asyncio.Event()
        self.full = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.full.set()
        await self.let.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(turns: Turns) -> tuple[int, dict[bytes, bytes]]:
    """Return status and headers of one request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await turns({"type": "http"}, None, send)  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"])


def test_all_are_answered_and_few_at_once() -> None:
    async def clients() -> None:
        # Given 64 clients at once
        cloud = Cloud()
        turns = Turns(cloud, at_once=4, most_waiting=100)
        asked = [asyncio.create_task(ask(turns)) for _ in range(64)]
        await cloud.full.wait()
        # When the first are answered
        cloud.let.set()
        answers = await asyncio.gather(*asked)
        # Then so are all, never more than four at once
        assert [status for status, _ in answers] == [200] * 64
        assert cloud.most == 4

    asyncio.run(clients())


def test_who_finds_too_many_waiting_is_told_to_come_again() -> None:
    async def clients() -> None:
        cloud = Cloud()
        turns = Turns(cloud, at_once=1, most_waiting=2)
        asked = [asyncio.create_task(ask(turns)) for _ in range(3)]
        await cloud.full.wait()
        while turns.waiting < 2:
            await asyncio.sleep(0)
        status, headers = await ask(turns)
        assert (status, headers[b"retry-after"]) == (429, b"1")
        cloud.let.set()
        assert [status for status, _ in await asyncio.gather(*asked)] == [200] * 3
        assert (await ask(turns))[0] == 200

    asyncio.run(clients())


def test_a_client_that_goes_frees_its_turn() -> None:
    async def clients() -> None:
        cloud = Cloud()
        turns = Turns(cloud, at_once=1, most_waiting=2)
        gone = asyncio.create_task(ask(turns))
        await cloud.full.wait()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        cloud.let.set()
        assert (await ask(turns))[0] == 200

    asyncio.run(clients())
