"""The HTML shell of each page: head, navigation, heading, facts and the code to load the data.

Text that matters is in the HTML itself, so that a page says what it is without its script, to
search engines and to screen readers. All foreign text passes through :func:`text`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

PLOT_STYLE_HASH = "sha256-jSYQUrW7J0b3jPqhZP9C2Xh1PyJKHKXd4s0fpGGKrww="
"""Of the one constant style sheet that Observable Plot puts into each of its SVGs."""

NAVIGATION = (
    ("index.html", "Overview"),
    ("sessions.html", "Sessions"),
    ("subjects.html", "Subjects"),
    ("probes.html", "Probes"),
    ("labs.html", "Labs"),
    ("daily.html", "Daily"),
    ("training-time.html", "Training time"),
    ("data.html", "Get the data"),
)


SYNTHETIC = {
    "all": "<strong>Synthetic data.</strong> What this page shows was simulated; no animal was "
    "involved.",
    "some": "<strong>Some synthetic data.</strong> Part of what this page shows was simulated; "
    "it is marked in the lists.",
}


def how_synthetic(marks: Iterable[object]) -> str:
    """Return whether '' (none), 'some' or 'all' of some things are simulated."""
    found = [bool(mark) for mark in marks]
    return "all" if found and all(found) else "some" if any(found) else ""


@dataclass(frozen=True)
class Settings:
    """What distinguishes one site from another."""

    title: str = "Fornix"
    api_url: str = ""


def content_security_policy(api_url: str = "") -> str:
    """Return the policy under which every page works: own files only, and the API to sign in."""
    api = f" {api_url}" if api_url else ""
    return (
        "default-src 'none'; script-src 'self'; "
        f"style-src 'self' '{PLOT_STYLE_HASH}'; font-src 'self'; img-src 'self' data: blob:; "
        f"connect-src 'self'{api}; base-uri 'none'; form-action 'none'"
    )


def text(value: object) -> str:
    """Return text safe in HTML content and attributes."""
    return html.escape(str(value), quote=True)


def safe_name(name: str) -> str:
    """Return a name fit for a file name and an address, unchanged where it already is."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda m: f"~{ord(m[0]):x}", name)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a definition list of key figures; empty values are left out."""
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs if value
    )
    return f'<dl class="facts">{items}</dl>'


def code(source: str, label: str) -> str:
    """Return a block of code with a button that copies it."""
    return (
        f'<div class="code"><button type="button" class="copy" data-copy>Copy</button>'
        f'<pre tabindex="0" aria-label="{text(label)}"><code>{text(source)}</code></pre></div>'
    )


def figure(name: str, title: str, wide: bool = False, note: str = "") -> str:
    """Return the empty figure that the page's script fills, with its title and note."""
    said = f"<p>{text(note)}</p>" if note else ""
    return (
        f'<figure id="{text(name)}" class="{"wide" if wide else "half"}" '
        f'aria-labelledby="{text(name)}-title">'
        f'<figcaption><h2 id="{text(name)}-title">{text(title)}</h2>{said}</figcaption>'
        f'<div class="plot" aria-busy="true"></div></figure>'
    )


@dataclass(frozen=True)
class Link:
    """A table cell that leads to another page of the site; address relative to the page."""

    address: str
    label: str


class Quantity(str):
    """A table cell with a number; like its heading it stands at the right."""


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    """Return a plain table; the first cell of each row is its heading."""
    numeric = [all(isinstance(row[i], Quantity) for row in rows) for i in range(len(columns))]
    kinds = ['th scope="row"', *["td"] * (len(columns) - 1)]
    head = "".join(map(_cell, ['th scope="col"'] * len(columns), columns, numeric))
    body = "".join(f"<tr>{''.join(map(_cell, kinds, row, numeric))}</tr>" for row in rows)
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{text(caption)}">'
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(kind: str, cell: object, numeric: bool) -> str:
    said = link(cell.address, cell.label) if isinstance(cell, Link) else text(cell)
    aligned = ' class="num"' if numeric else ""
    return f"<{kind}{aligned}>{said}</{kind[:2]}>"


def link(address: str, label: str) -> str:
    """Return a link; the address is one of the site's own, or of the API."""
    return f'<a href="{quote(address, safe="/:.~#?=&-_")}">{text(label)}</a>'


def page(
    settings: Settings,
    kind: str,
    key: str,
    title: str,
    body: str,
    *,
    data: Mapping[str, str] | None = None,
    description: str = "",
    image: str = "",
    crumbs: Iterable[tuple[str, str]] = (),
    plots: bool = True,
    map_: bool = False,
    synthetic: str = "",
    absolute: bool = False,
) -> bytes:
    """Return a whole page.

    Parameters
    ----------
    settings : Settings
    kind : str
        Which script draws it: ``assets/<kind>.js``.
    key : str
        The page's name within the site; all its addresses are relative to it.
    title, description : str
    body : str
        HTML of the page's content.
    data : mapping
        ``data-`` attributes for the script, addresses relative to the root of the site.
    image : str
        Image for sharing, relative to the root.
    crumbs : iterable of (str, str)
        Address from the root and label of the pages above.
    plots, map_ : bool
        Whether the plotting library and the reader of the map are needed.
    synthetic : {'', 'some', 'all'}
        How much of what the page shows is simulated.
    absolute : bool
        The page is shown at any address, so its own are from the host's root.
    """
    root = "/" if absolute else "../" * key.count("/")
    attributes = "".join(f' data-{name}="{text(v)}"' for name, v in (data or {}).items())
    section = crumbs_first(crumbs) or key
    navigation = "".join(
        f'<a href="{root}{address}"'
        + (' aria-current="page"' if address == section else "")
        + f">{label}</a>"
        for address, label in NAVIGATION
    )
    trail = "".join(f"<li>{link(root + address, label)}</li>" for address, label in crumbs)
    scripts = ""
    if plots:
        scripts = "".join(
            f'<script defer src="{root}assets/vendor/{name}"></script>'
            for name in ("d3.min.js", "plot.umd.min.js", *(["topojson.min.js"] if map_ else []))
        )
    shared = f'<meta property="og:image" content="{root}{text(image)}">' if image else ""
    banner = f'<p class="synthetic" role="note">{SYNTHETIC[synthetic]}</p>' if synthetic else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{content_security_policy(settings.api_url)}">
<title>{text(title)} · {text(settings.title)}</title>
<meta name="description" content="{text(description or title)}">
<meta property="og:title" content="{text(title)}">{shared}
<meta name="color-scheme" content="light dark">
<link rel="icon" href="{root}assets/icon.svg" type="image/svg+xml">
<link rel="preload" href="{root}assets/vendor/inter.woff2" as="font" type="font/woff2" crossorigin>
<link rel="stylesheet" href="{root}assets/site.css">
<script src="{root}assets/theme.js"></script>
{scripts}<script type="module" src="{root}assets/{kind}.js"></script>
</head>
<body data-root="{root}" data-api="{text(settings.api_url)}"{attributes}>
<a class="skip" href="#main">Skip to the content</a>
<header class="bar"><a class="brand" href="{root}index.html">{text(settings.title)}</a>
<nav aria-label="Site">{navigation}</nav>
<button type="button" id="theme" aria-label="Switch between light and dark"></button></header>
<main id="main">
{banner}{f'<ol class="crumbs" aria-label="You are here">{trail}</ol>' if trail else ""}
<h1>{text(title)}</h1>
{body}
<p id="status" role="status"></p>
</main>
<footer><p>{text(settings.title)} · {link(root + "data.html", "How to get the data")} ·
{link(root + "about.html", "About this site")}</p></footer>
</body>
</html>
""".encode()


def crumbs_first(crumbs: Iterable[tuple[str, str]]) -> str:
    """Return the address of the section a page belongs to."""
    return next((address for address, _ in crumbs), "")
