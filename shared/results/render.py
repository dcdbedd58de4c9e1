"""Render a view as HTML: one template per page, all text escaped, no undefined names.

Templates are in ``site/results/templates``, beside the scripts and styles of their pages; a page
has the base name of its view's module. The HTML itself has the important text, so that search
engines and screen readers can read a page without its script.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import jinja2
import msgspec
from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from shared.model.identity import nickname_of
from shared.results import addresses
from shared.results.static_files import site_files

TEMPLATES = site_files() / "templates"

PLOT_STYLE_HASH = "sha256-jSYQUrW7J0b3jPqhZP9C2Xh1PyJKHKXd4s0fpGGKrww="
"""Hash of the one constant style sheet that Observable Plot puts into each of its SVGs."""

ADDRESSES = (
    "session_page",
    "session_data",
    "probe_page",
    "probe_data",
    "drift_image",
    "subject_page",
    "subject_data",
    "subject_trials",
    "lab_page",
    "release_page",
)
"""Functions of :mod:`shared.results.addresses` that templates may call."""

STATUS_NAMES = {
    "ready4ephysrig": "Ready for the ephys rig",
    "ready4delay": "Ready for delay",
    "ready4recording": "Ready for recording",
}


class SiteSettings(msgspec.Struct, frozen=True):
    """Facts that distinguish one site from another.

    Attributes
    ----------
    title : str
    api_url, site_url : str
        Addresses of the API and of the site itself, where they are known.
    asks : str
        Where pages ask the API if not at `api_url`: a path of the site's own, as ``/rest``.
    licence, licence_url : str
        Licence of the data.
    citation : str
        How to cite the data; by default by the site's title.
    doi : str
        DOI of the data as a whole, ``10.…/…``.
    recordings : bool
        Whether raw recordings and films are copied to the site.
    releases : bool
        Whether the site has pages of releases.
    """

    title: str = "Fornix"
    api_url: str = ""
    site_url: str = ""
    asks: str = ""
    licence: str = "CC BY 4.0"
    licence_url: str = "https://creativecommons.org/licenses/by/4.0/"
    citation: str = ""
    doi: str = ""
    recordings: bool = True
    releases: bool = False

    @property
    def server(self) -> str:
        """The API's address for pages; empty if there is none."""
        return self.asks or self.api_url


def content_security_policy(server: str = "") -> str:
    """Return the policy of every page: own files only, and the API to sign in."""
    api = "" if server.startswith("/") or not server else f" {server}"
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' '{PLOT_STYLE_HASH}'; font-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self'; "
        f"connect-src 'self'{api}; base-uri 'none'; form-action 'none'"
    )


def count(value: int) -> str:
    """Return a whole number with separated thousands."""
    return f"{value:,}"


def number(value: float | None, decimals: int) -> str:
    """Return a number with fixed decimals, a dash for None."""
    return "–" if value is None else f"{value:.{decimals}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """Return a fraction as percent, a dash for None."""
    return "–" if value is None else f"{100 * value:.0f} %"


def status_name(status: str) -> str:
    """Return a training status as people write it."""
    return STATUS_NAMES.get(status, status.capitalize())


class CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates, kept for the user's next process: compiling takes longer than ten pages.

    A template is compiled anew if its text, the options in this module, or Jinja have changed.
    Reading one runs code, so Jinja keeps them in a folder that only this user may open, and
    refuses any other.
    """

    def __init__(self, directory: str | None = None) -> None:
        options = sha256(Path(__file__).read_bytes() + jinja2.__version__.encode())
        super().__init__(directory, f"fornix_{options.hexdigest()[:16]}_%s.cache")

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a compiled template; a damaged one counts as missing."""
        try:
            super().load_bytecode(bucket)
        except (OSError, EOFError, ValueError, TypeError, UnpicklingError):
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template; without room for it, the page is rendered all the same."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


@cache
def environment() -> Environment:
    """Return the template environment with its filters and functions."""
    compiled = None
    with suppress(OSError, RuntimeError):  # no temporary folder, or another user's
        compiled = CompiledTemplates()
    made = Environment(
        bytecode_cache=compiled,
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(count=count, number=number, percent=percent, status_name=status_name)
    made.filters.update(nickname=nickname_of)
    made.globals.update({name: getattr(addresses, name) for name in ADDRESSES})
    made.globals["content_security_policy"] = content_security_policy
    return made


def render(view: Any, settings: SiteSettings) -> bytes:
    """Return a view's page.

    Parameters
    ----------
    view : struct
        A view of :mod:`shared.results.views`; the template sees its fields, and the settings as
        ``site``.
    settings : SiteSettings

    Raises
    ------
    jinja2.UndefinedError
        The template uses a name that the view does not have.
    """
    fields = {name: getattr(view, name) for name in view.__struct_fields__}
    template = environment().get_template(f"{view.template}.html")
    return template.render(site=settings, **fields).encode()
