"""The pages' HTML: foreign text stays text, numbers stand at the right."""

from __future__ import annotations

from shared.results.html import Link, table
from shared.results.pages import count


def test_a_table_has_headings_links_and_numbers_at_the_right() -> None:
    made = table(
        ["Lab", "Trials"], [(Link("labs/a.html", "a"), count(1200)), ("<b>", count(3))], "Labs"
    )
    assert '<th scope="col">Lab</th><th scope="col" class="num">Trials</th>' in made
    assert '<th scope="row"><a href="labs/a.html">a</a></th><td class="num">1,200</td>' in made
    assert '<th scope="row">&lt;b&gt;</th><td class="num">3</td>' in made
