"""The process of the embedded cloud: gateway, API and site on three loopback ports."""

from __future__ import annotations

import asyncio
import signal

import click
from hypercorn.asyncio import serve
from hypercorn.config import Config

from infra.local import ministack
from infra.local.front import ApiFront, Deployed, SiteFront
from infra.local.home import Home
from infra.local.logs import keep_errors


def _config(port: int) -> Config:
    """Return a server's settings: loopback only, no access log, one second to finish."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.loglevel = "WARNING"
    config.graceful_timeout = 1
    config.keep_alive_timeout = 75
    return config


async def _run(home: Home, dynamodb: str | None) -> None:
    """Serve until SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    # Ctrl-C reaches the whole process group; the supervisor decides what stops when.
    loop.add_signal_handler(signal.SIGINT, lambda: None)

    async def stop() -> None:
        await stopping.wait()

    ports = home.ports
    ministack.configure(home.path / "cloud", ports.gateway, *home.root_credentials())
    cloud = ministack.Cloud(dynamodb, home.logs)
    keep_errors(home.logs)
    deployed = Deployed(home.deployed)
    await asyncio.gather(
        serve(cloud, _config(ports.gateway), shutdown_trigger=stop),  # type: ignore[arg-type]
        serve(ApiFront(cloud, deployed), _config(ports.api), shutdown_trigger=stop),  # type: ignore[arg-type]
        serve(SiteFront(cloud, deployed), _config(ports.site), shutdown_trigger=stop),  # type: ignore[arg-type]
    )


@click.command()
@click.option("--home", "folder", required=True)
@click.option("--dynamodb", default=None)
def main(folder: str, dynamodb: str | None) -> None:
    """Run the embedded cloud of a state folder in the foreground."""
    asyncio.run(_run(Home(folder), dynamodb))


if __name__ == "__main__":
    main()
