"""The process of the embedded cloud: gateway, API and site on three loopback ports."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import click
import uvicorn
import uvloop

from infra.local import ministack
from infra.local.front import ApiFront, Deployed, SiteFront, Turns
from infra.local.home import Home
from infra.local.logs import keep_errors


class Listener(uvicorn.Server):
    """A server on a loopback port that ends on request and not by signals.

    Parameters
    ----------
    app
        The ASGI application.
    port
        The port.
    """

    def __init__(self, app: ministack.Asgi, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=port,
                log_config=None,
                log_level="warning",
                access_log=False,
                lifespan="on",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
                # ministack sends these itself, as AWS does.
                server_header=False,
                date_header=False,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process that runs several servers."""
        yield


async def _run(home: Home, dynamodb: str | None) -> None:
    """Serve until SIGTERM."""
    ports = home.ports
    ministack.configure(home.path / "cloud", ports.gateway, *home.root_credentials())
    cloud = ministack.Cloud(dynamodb, home.logs)
    keep_errors(home.logs)
    deployed = Deployed(home.deployed)
    turns = Turns(cloud)
    listeners = (
        Listener(cloud, ports.gateway),
        Listener(ApiFront(cloud, turns, deployed), ports.api),
        Listener(SiteFront(cloud, turns, deployed), ports.site),
    )

    def stop() -> None:
        for listener in listeners:
            listener.should_exit = True

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    # Ctrl-C reaches the whole process group; the supervisor stops the processes in order.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    await asyncio.gather(*(listener.serve() for listener in listeners))


@click.command()
@click.option("--home", "folder", required=True)
@click.option("--dynamodb", default=None)
def main(folder: str, dynamodb: str | None) -> None:
    """Run the embedded cloud of a state folder in the foreground."""
    uvloop.run(_run(Home(folder), dynamodb))


if __name__ == "__main__":
    main()
