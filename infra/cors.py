"""Cross-origin resource sharing: requests that the site's pages may send to the API."""

from __future__ import annotations

HEADERS = "Authorization,Content-Type,If-Match,If-None-Match,X-Request-ID"
EXPOSED = "ETag,Location,Retry-After,X-Request-ID"


def preflight(methods: list[str], origin: str) -> dict[str, str]:
    """Return the headers that answer a preflight for a path with these methods."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": ",".join([*methods, "OPTIONS"]),
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Expose-Headers": EXPOSED,
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }
