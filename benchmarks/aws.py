"""Estimate time and cost of a request on AWS from its measured needs.

Nothing here was run on AWS. Counts and processor time are measured on the embedded cloud; the rest
are published prices and assumptions, each with its source.
"""

from __future__ import annotations

from dataclasses import dataclass

VCPU_MB = 1769
"""Memory at which a function gets one processor (AWS Lambda, "Configure memory")."""

FUNCTION_MB = 1769
"""Memory of the API's function (``infra/functions.py``): one processor."""

GATEWAY_MS = 10.0
"""Assumed time in API Gateway and on the way to the function; AWS publishes none."""

TRIP_MS = 4.0
"""Assumed round trip to DynamoDB in the region: AWS says "single-digit milliseconds"."""

GATEWAY_DOLLARS = 3.50
"""Price of a million requests to a REST API (us-east-1, first 333 million a month)."""

INVOCATION_DOLLARS = 0.20
"""Price of a million invocations (AWS Lambda pricing)."""

GB_SECOND_DOLLARS = 0.0000133334
"""Price of one GB of an Arm function for a second (AWS Lambda pricing)."""

READ_DOLLARS, WRITE_DOLLARS = 0.125, 0.625
"""Price of a million request units (DynamoDB on demand, us-east-1, since November 2024)."""


@dataclass(frozen=True)
class Estimate:
    """Estimated time and cost of a request.

    Attributes
    ----------
    milliseconds : float
        Time to its answer, in a warm function.
    dollars : float
        Cost of a million such requests.
    """

    milliseconds: float
    dollars: float


def estimate(cpu_ms: float, requests: float, read_units: float, write_units: float) -> Estimate:
    """Estimate time and cost of a request on AWS.

    Parameters
    ----------
    cpu_ms : float
        Processor time of the function here, taken as that of one Lambda processor.
    requests : float
        Requests to DynamoDB, one after the other.
    read_units, write_units : float
        Request units that DynamoDB charges.
    """
    function_ms = cpu_ms * max(1.0, VCPU_MB / FUNCTION_MB) + TRIP_MS * requests
    memory = function_ms / 1000 * FUNCTION_MB / 1024 * 1e6 * GB_SECOND_DOLLARS
    units = read_units * READ_DOLLARS + write_units * WRITE_DOLLARS
    dollars = GATEWAY_DOLLARS + INVOCATION_DOLLARS + memory + units
    return Estimate(GATEWAY_MS + function_ms, dollars)
