"""Each fact is decided in one place: the words that tell of it stand in its home alone.

A new place that needs one of these words asks the fact's home instead. Where that cannot be (a
declaration, a format of somebody else), the place is added to the fact's homes, with its reason
in the table.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("functions", "shared", "lab")
FOREIGN = ("lab/importers/", "lab/simulate/")
"""What other systems write and read is theirs to decide; simulated rigs write as rigs do."""


class Fact(NamedTuple):
    """A fact: what it is, the words that tell of it, and where these may stand."""

    name: str
    words: str
    homes: tuple[str, ...]


FACTS = (
    Fact(
        "1 where a file is, and for whom",
        r"globus_is_personal|in_own_store\(|for_everybody\(",
        (
            "shared/model/copies.py",
            "shared/access/policy.py",  # who may say so
            "shared/catalog/",  # asks for the rows of the cache tables and the index
            "shared/datasets/",
            "shared/records/items.py",
            "functions/api/resources/",  # the declaration, and what changes of it
            "functions/api/registration.py",
            "functions/api/shown/",
        ),
    ),
    Fact(
        "2 where the data of a session lie",
        r"_ibl_trials\.table|_ibl_wheel\.(position|timestamps)",
        (
            "shared/alf/layout.py",
            "shared/tasks/declared/",  # outputs are declared by name
            "shared/science/behaviour/",  # messages name the file
            "lab/tasks/behaviour.py",
            "lab/tasks/video.py",  # reads what another task has written beside it
            "lab/extracted.py",
            "shared/results/views/about.py",  # code that visitors copy names the file
        ),
    ),
    Fact("3 what a name may be", r"\[\\w\.-\]\+|com\[?1|\"nul\"", ("shared/alf/",)),
    Fact(
        "4 who sees what: embargoes",
        r"embargo_ends\(|days_begun\(",
        ("shared/access/", "shared/catalog/visible.py"),
    ),
    Fact(
        "5 who may do what: roles are compared",
        r"\.role (==|!=|in|not in) ",
        ("shared/access/", "shared/model/people.py", "functions/api/"),
    ),
    Fact(
        "6 which session: its folder is put together",
        r"/Subjects/\{",
        ("shared/model/identity.py", "shared/alf/path.py", "shared/results/source.py"),
    ),
    Fact(
        "7 where bytes lie: the prefixes of the data bucket",
        r"[\"'](data|incoming|quarantine|manifests|indexes|notes|snapshots|cache|journal)/",
        (
            "shared/model/prefixes.py",
            "shared/results/",  # the site's own bucket
            "functions/analysis/releases.py",  # the site's
            "lab/",  # folders of people's computers
        ),
    ),
    Fact(
        "8 moments and zones",
        r"ZoneInfo\(",
        (
            "shared/model/moment.py",
            "shared/access/",
            "functions/api/resources/people.py",
            "shared/science/water/control.py",
            "lab/commands/import_.py",
        ),
    ),
    Fact(
        "9 which revision is the default",
        r"default_at\b",
        ("shared/datasets/", "shared/records/items.py"),
    ),
    Fact(
        "10 datasets' paths and their parts",
        r"(starts|ends)with\(\"#\"\)",
        (
            "shared/model/identity.py",
            "shared/alf/path.py",
            "shared/results/tree.py",
            "functions/api/registration.py",
        ),
    ),
    Fact(
        "11 types and formats of files",
        r"filename_pattern",
        ("shared/alf/dataset_types.py", "shared/records/reference.py", "functions/api/"),
    ),
    Fact(
        "12 names of quality",
        r"\"(NOT_SET|CRITICAL)\"",
        (
            "shared/model/",
            "shared/science/behaviour/",
            "shared/science/video/",
            "lab/tasks/video.py",
            "shared/catalog/cache_tables.py",
            "functions/api/",
            "lab/worker/facts.py",
            "shared/alf/cache_tables.py",
            "shared/publishing/",
        ),
    ),
    Fact(
        "13 states of uploads",
        r"\"quarantined\"",
        ("shared/model/upload.py", "shared/uploads/state.py", "lab/rig/", "lab/transfer/"),
    ),
    Fact(
        "14 states of tasks",
        r"\"(Abandoned|Incomplete)\"",
        ("shared/tasks/states.py", "functions/api/resources/tasks.py"),
    ),
    Fact(
        "15 kinds of protocols",
        r"[cC]hoiceWorld|choice_world",
        ("shared/model/protocols.py", "shared/science/behaviour/", "lab/exports/"),
    ),
    Fact(
        "16 settings of rigs",
        r"PYBPOD_|SUBJECT_NAME\b",
        (
            "shared/science/behaviour/",
            "lab/rig/",
            "lab/commands/analyse.py",
            "lab/site.py",
            "lab/exports/",
        ),
    ),
    Fact(
        "17 collections of raw data",
        r"raw_task_data_",
        ("shared/alf/layout.py", "shared/science/behaviour/", "shared/tasks/", "lab/tasks/cli.py"),
    ),
    Fact(
        "18 the environment of a function",
        r"environ(\[|\.get\()\s*f?\"FORNIX_|getenv\(|(read|_needed)\(f?\"FORNIX_",
        ("shared/records/env.py", "lab/"),
    ),
    Fact(
        "19 trying a write again",
        r"for \w+ in range\((TRIES|RETRIES|ATTEMPTS)\)",
        (
            "shared/records/optimistic.py",
            "shared/uploads/target.py",  # not a race: one more name is left out each time
            "shared/results/",  # races over objects of S3
            "functions/journal/verify.py",  # reads, until what is under way has come
        ),
    ),
    Fact(
        "20 trying a request again",
        r"\bRetry\(",
        ("lab/client/", "lab/transfer/", "shared/recordings/remote.py"),
    ),
    Fact(
        "21 what a UUID is",
        r"\[0-9a-f\]\{8\}",
        ("shared/model/identity.py", "shared/alf/path.py", "functions/api/routes/downloads.py"),
    ),
    Fact(
        "22 limits that both sides know",
        r"\b(UPLOAD_FILES|URLS_AT_ONCE|IMPORT_ROWS|REGISTER_FILES)\s*=",
        ("shared/model/limits.py",),
    ),
    Fact(
        "23 how the table is laid out: its partitions",
        r"f?\"(SES|DOC|EID|DSID|UNIQ|SUBJ|LAB|TASK|UPL|UPLOADS|TOKENS|HOOK)#",
        ("shared/records/keys.py",),
    ),
)


@cache
def code_of(path: Path) -> str:
    """Return a file's lines without comments and docstrings."""
    text = path.read_text()
    documented = {
        (node.value.lineno, node.value.col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        (first, start), (last, end) = token.start, token.end
        docstring = token.type == tokenize.STRING and token.start in documented
        if token.type != tokenize.COMMENT and not docstring:
            continue
        if first == last:
            lines[first - 1] = lines[first - 1][:start] + lines[first - 1][end:]
        else:
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(lines)


def places(fact: Fact) -> set[str]:
    """Return the files of the product that have a fact's words."""
    found = set()
    for top in PRODUCT:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not name.startswith(FOREIGN) and re.search(fact.words, code_of(path)):
                found.add(name)
    return found


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_is_decided_in_its_home(fact: Fact) -> None:
    elsewhere = {name for name in places(fact) if not name.startswith(fact.homes)}
    assert elsewhere == set(), f"{fact.name}: ask {fact.homes[0]} instead"


def test_every_fact_has_words_that_are_in_use() -> None:
    assert [int(fact.name.split()[0]) for fact in FACTS] == list(range(1, 24))
    assert [fact.name for fact in FACTS if not places(fact)] == []
