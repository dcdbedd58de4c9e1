"""The frame that all pages share, and what a page was made from."""

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
        The page is shown at any address, so its own are from the host's root.
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
        """The way from the page to the root of the site."""
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
    """A dataset that a page was made from; `address` is that of the file below the API's."""

    id: str
    path: str
    hash: str
    address: str = ""


class Problem(Struct, frozen=True):
    """What could not be shown of a session, or of a whole subject, for whoever builds the site.

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
    """What a page was made from."""

    inputs: list[Input]
    code: str
    fingerprint: str


def how_synthetic(marks: Iterable[object]) -> Synthetic:
    """Return whether none ('') of some things are simulated, 'some' or 'all'."""
    found = [bool(mark) for mark in marks]
    return "all" if found and all(found) else "some" if any(found) else ""
