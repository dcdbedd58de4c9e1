"""An embedded cloud for tests of what it is, without a system in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.cloud import EmbeddedCloud
from infra.local.home import Home, Ports


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """An embedded cloud with nothing deployed."""
    cloud = EmbeddedCloud(Home(tmp_path_factory.mktemp("bare"), Ports.free()))
    cloud.start()
    yield cloud
    cloud.stop()
