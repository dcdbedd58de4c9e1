"""One request as the handlers see it: its caller, its query, its body, the API's own address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from functions.api import permissions
from functions.api.auth import identify
from functions.api.body import MAX_BODY, MAX_MULTIPART, File, read_form, read_json, read_multipart
from functions.api.errors import ApiError
from shared.model.people import Caller
from shared.records import env

if TYPE_CHECKING:
    from functions.api.engine.plan import Plan


class Call:
    """A request.

    Parameters
    ----------
    request : chalice.app.Request
    """

    def __init__(self, request: Any) -> None:
        self.request = request
        self.path: str = request.path
        self.method: str = request.method
        self.files: dict[str, File] = {}
        self.plan: Plan | None = None  # the plan in progress
        self.deletes_parts = False  # set while parts of the named record are deleted
        self.is_begun = False  # whether its group is already in use
        self.is_repeated = False  # whether the record to create existed already
        self.lab_meant: str | None = None  # for names in the body that mean several records
        self.imports: str | None = None  # the kind of record that an import brings
        self.names: dict[tuple[str, ...], str | None] = {}  # what they mean, of other kinds
        self._made: dict[str, Any] = {}
        self._beside: dict[int, Sequence[Mapping[str, Any]]] = {}

    def show_together(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Remember that some stored rows are shown together, such as a page's."""
        self._beside.update((id(row), rows) for row in rows)

    def beside(self, row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the rows that are shown together with a row, itself included."""
        if id(row) not in self._beside:
            self.show_together((row,))
        return self._beside[id(row)]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a value that is computed once per request."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @cached_property
    def who(self) -> Caller:
        """The caller."""
        return identify.caller(self.request)

    @cached_property
    def rule(self) -> permissions.Rule:
        """The route's rule; refuses a caller it does not name."""
        return permissions.check(self.path, self.method, self.who)

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters; repeated ones are joined by commas, like Alyx's lists."""
        params = self.request.query_params
        if not params:
            return {}
        return {name: ",".join(params.getlist(name)) for name in params}

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body as a dictionary, whether JSON, a form or a multipart form (see `files`)."""
        data = self.data
        if not isinstance(data, dict):
            raise ApiError(400, "The body must be a JSON object.")
        return data

    @cached_property
    def content_type(self) -> str:
        """Content type of the body; JSON by default."""
        return self.request.headers.get("content-type") or "application/json"

    @property
    def is_import(self) -> bool:
        """Whether it imports records made elsewhere under other rules."""
        return self.path == "/import"

    @property
    def is_form(self) -> bool:
        """Whether the body is a form, whose values are all text."""
        return not self.content_type.startswith("application/json")

    @cached_property
    def data(self) -> Any:
        """The body, of any JSON type."""
        try:
            raw: bytes = self.request.raw_body or b""
        except ValueError:  # declared as base64, but is not
            raise ApiError(400, "The body cannot be decoded.") from None
        kind = self.content_type
        multipart = kind.startswith("multipart/form-data")
        if len(raw) > (MAX_MULTIPART if multipart else MAX_BODY):
            raise ApiError(413, f"The body has {len(raw)} bytes, too many for one request.")
        if not raw.strip():
            return {}
        if kind.startswith("application/x-www-form-urlencoded"):
            return read_form(raw)
        if multipart:
            fields, self.files = read_multipart(kind, raw)
            return fields
        try:
            return read_json(raw)
        except ValueError as error:
            raise ApiError(400, f"JSON parse error - {error}") from None

    @cached_property
    def base_url(self) -> str:
        """Public address of the API without a trailing slash."""
        return base_url(self.request)

    def url(self, path: str) -> str:
        """Return the absolute address of a path."""
        return f"{self.base_url}{path}"


def matches(request: Any, tag: str) -> bool:
    """Return whether the client already has the version of a tag (``If-None-Match``)."""
    tags = (request.headers.get("if-none-match") or "").split(",")
    return tag in {tag_text.strip().removeprefix("W/").strip('"') for tag_text in tags}


def base_url(request: Any) -> str:
    """Return the API's public address: the configured one, or host and stage of the request."""
    if configured := env.api_url():
        return configured.rstrip("/")
    headers: Mapping[str, str] = request.headers
    host = headers.get("host") or request.context.get("domainName") or "localhost"
    scheme = headers.get("x-forwarded-proto") or "https"
    sent = request.context.get("path") or ""
    inner = request.to_original_event().get("path") or ""
    # If the address has the stage, requestContext.path has it in front of the actual path.
    prefix = sent[: len(sent) - len(inner)] if inner and sent.endswith(inner) else ""
    return f"{scheme}://{host}{prefix}"
