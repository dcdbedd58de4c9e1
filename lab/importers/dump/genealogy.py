"""The carrying order of rows that descend from each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping


def generations(
    parents: Mapping[int, Iterable[int]], cuttable: Iterable[int], cut: set[tuple[int, int]]
) -> Iterator[list[int]]:
    """Yield rows by generations, each after the rows that it descends from.

    Rows that descend from themselves are an error of the source: one of their links is cut.

    Parameters
    ----------
    parents : mapping of int to ints
        Ancestors of each row; ancestors that are no keys exist already.
    cuttable : iterable of int
        Rows whose links may be cut.
    cut : set of (int, int)
        Receives the links that were cut: the row, and its ancestor.
    """
    open_links = {n: {p for p in above if p in parents} for n, above in parents.items()}
    children: dict[int, list[int]] = defaultdict(list)
    for n, above in open_links.items():
        for p in above:
            children[p].append(n)
    may_cut = frozenset(cuttable)
    ready = sorted(n for n, above in open_links.items() if not above)
    while open_links:
        if not ready:
            n, p = _link_of_circle(open_links, may_cut)
            cut.add((n, p))
            open_links[n].discard(p)
            ready = [n] if not open_links[n] else []
            continue
        yield ready
        following = []
        for n in ready:
            del open_links[n]
        for n in ready:
            for child in children.pop(n, ()):
                left = open_links.get(child)
                if left is not None and n in left:
                    left.discard(n)
                    if not left:
                        following.append(child)
        ready = sorted(following)


def _link_of_circle(
    open_links: Mapping[int, set[int]], may_cut: frozenset[int]
) -> tuple[int, int]:
    """Return a link of a circle: that of the first row in it that may be cut."""
    at = min(open_links)
    path: list[int] = []
    seen: dict[int, int] = {}
    while at not in seen:
        seen[at] = len(path)
        path.append(at)
        at = min(open_links[at])
    circle = path[seen[at] :]
    links = list(zip(circle, [*circle[1:], circle[0]], strict=True))
    return min((link for link in links if link[0] in may_cut), default=links[0])
