"""The order in which rows that descend from each other are carried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping


def generations(
    parents: Mapping[int, Iterable[int]], cuttable: Iterable[int], cut: set[tuple[int, int]]
) -> Iterator[list[int]]:
    """Yield rows by generations, each behind those that it descends from.

    Rows that descend from themselves are a mistake of the source: one of their links is cut.

    Parameters
    ----------
    parents : mapping of int to ints
        Of each row those that it descends from; others than its keys are there already.
    cuttable : iterable of int
        Rows whose links may be cut.
    cut : set of (int, int)
        Takes the links that were cut: row, and the one that it was to descend from.
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
    """Return a link of a circle: of the rows in it that may be cut, the first one's."""
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
