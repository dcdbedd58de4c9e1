"""The small working Fornix of tests/flow.py, and sessions with tasks in it."""

from tests.dispatch.graph import eid, processed, server_of_the_lab, session, trials  # noqa: F401
from tests.flow import aws_url, flow, system  # noqa: F401
