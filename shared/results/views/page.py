"""The frame shared by all pages, and the inputs of a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Protocol

from msgspec import Struct, field

Synthetic = Literal["", "some", "all"]


class Crumb(Struct, frozen=True):
    """A page above this one."""

    address: str
    label: str


class PageFrame(Struct, frozen=True, kw_only=True):
    """Title and surroundings of a page; addresses are relative to the root of the site.

    Attributes
    ----------
    attributes : dict of str
        ``data-`` attributes for the page's script.
    image : str
        Picture for sharing.
    absolute : bool
        The page is shown at any address, so its links start at the host's root.
    """

    address: str
    title: str
    description: str = ""
    crumbs: tuple[Crumb, ...] = ()
    image: str = ""
    synthetic: Synthetic = ""
    attributes: dict[str, str] = field(default_factory=dict)
    absolute: bool = False

    @property
    def root(self) -> str:
        """The path from the page to the root of the site."""
        return "/" if self.absolute else "../" * self.address.count("/")

    @property
    def section(self) -> str:
        """The entry of the navigation that the page belongs to."""
        return self.crumbs[0].address if self.crumbs else self.address


class View(Protocol):
    """A page: the name of its template, and its frame."""

    template: ClassVar[str]

    @property
    def page(self) -> PageFrame:
        """The frame."""


class DataView(View, Protocol):
    """A page whose script draws data."""

    @property
    def data(self) -> Any:
        """The data."""


class Input(Struct, frozen=True, omit_defaults=True):
    """A dataset behind a page; `address` is that of the file below the API's."""

    id: str
    path: str
    hash: str
    address: str = ""


class Problem(Struct, frozen=True):
    """A problem of a session or of a whole subject, for the person who builds the site.

    Attributes
    ----------
    where : str
        ``subject/date/number`` or the subject's nickname.
    reason : str
        A sentence.
    """

    where: str
    reason: str


class MadeFrom(Struct, frozen=True):
    """The inputs of a page."""

    inputs: list[Input]
    code: str
    fingerprint: str


def how_synthetic(marks: Iterable[object]) -> Synthetic:
    """Return whether none ('') of some things are simulated, 'some' or 'all'."""
    simulated = [bool(mark) for mark in marks]
    return "all" if simulated and all(simulated) else "some" if any(simulated) else ""
