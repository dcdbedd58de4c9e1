"""The small working Fornix of tests/flow.py, for what analyses keep in its bucket."""

from __future__ import annotations

from tests.flow import aws_url, flow  # noqa: F401
