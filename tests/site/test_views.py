"""Each page has one struct and one template, which agree; no view holds what is no number."""

from __future__ import annotations

import math
import shutil
import tempfile
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import msgspec
import numpy as np
import pytest
from jinja2 import Environment, FileSystemLoader, meta, nodes

from shared.results import views
from shared.results.build import Site, lists, probes, subject
from shared.results.render import (
    ADDRESSES,
    TEMPLATES,
    CompiledTemplates,
    SiteSettings,
    environment,
)
from shared.results.source import Lab

from .conftest import NOW, Shelf, trials_of

GLOBALS = {"site", "parts", "content_security_policy", *ADDRESSES}
"""What templates have beside the fields of their view; `parts` is imported."""
SHARED = {"base.html", "parts.html"}


def view_types() -> list[type]:
    """Return the structs of all pages."""
    modules = [import_module(f"{views.__name__}.{m.name}") for m in iter_modules(views.__path__)]
    found = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and isinstance(vars(kind).get("template"), str)
    }
    return sorted(found, key=lambda kind: kind.__name__)


def parsed(name: str) -> nodes.Template:
    return environment().parse((TEMPLATES / name).read_text())


def variables(view: type) -> set[str]:
    """Return what a page's template, and the frame around it, read."""
    page, base = f"{view.template}.html", "base.html"  # type: ignore[attr-defined]
    return meta.find_undeclared_variables(parsed(page)) | meta.find_undeclared_variables(
        parsed(base)
    )


def test_every_template_is_a_view_s_and_every_view_has_one() -> None:
    pages = {path.name for path in TEMPLATES.glob("*.html")} - SHARED
    assert pages == {f"{view.template}.html" for view in view_types()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("view", view_types())
def test_a_template_reads_what_its_view_has_and_a_view_has_what_is_read(view: type) -> None:
    known = set(view.__struct_fields__)  # type: ignore[attr-defined]
    assert variables(view) - GLOBALS <= known
    # `data` may be for the page's script alone.
    assert known - variables(view) <= {"data"}


@pytest.mark.parametrize("view", view_types())
def test_attributes_that_a_template_reads_exist(view: type) -> None:
    missing = list(unknown_attributes(parsed(f"{view.template}.html"), types_of(view)))  # type: ignore[attr-defined]
    assert missing == []


def test_a_template_is_compiled_once_for_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, compiled = tmp_path / "page.html", tmp_path / "compiled"
    page.write_text("{{ 6 * number }}")
    compiled.mkdir()
    compile_template, names = Environment.compile, []

    def counted(self: Environment, source: Any, name: Any = None, *rest: Any) -> Any:
        names.append(name)
        return compile_template(self, source, name, *rest)

    monkeypatch.setattr(Environment, "compile", counted)

    def rendered_by_another_process() -> str:
        loader, cache = FileSystemLoader(tmp_path), CompiledTemplates(str(compiled))
        return (
            Environment(loader=loader, bytecode_cache=cache)
            .get_template("page.html")
            .render(number=7)
        )

    assert rendered_by_another_process() == rendered_by_another_process() == "42"
    assert len(names) == 1
    # A changed template, and one whose compiled form is damaged, are compiled anew
    page.write_text("{{ 6 + number }}")
    assert rendered_by_another_process() == "13"
    (kept,) = compiled.iterdir()
    kept.write_bytes(kept.read_bytes()[:40])
    assert rendered_by_another_process() == rendered_by_another_process() == "13"
    assert len(names) == 3
    # Without a place for it, the page is rendered all the same
    shutil.rmtree(compiled)
    assert rendered_by_another_process() == "13"


def test_compiled_templates_that_another_user_may_have_planted_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the folder of compiled templates, as a link to another user's in the temporary folder
    planted = tmp_path / "planted"
    planted.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ours = Path(CompiledTemplates().directory)
    assert ours.stat().st_mode & 0o777 == 0o700
    ours.rmdir()
    ours.symlink_to(planted)
    environment.cache_clear()
    try:
        # Then they are compiled anew, and kept nowhere
        assert environment().bytecode_cache is None
        environment().get_template("about.html")
        assert list(planted.iterdir()) == []
    finally:
        environment.cache_clear()


def types_of(kind: Any) -> dict[str, Any]:
    """Return the types of a struct's or data class's fields and properties."""
    known = dict(typing.get_type_hints(kind))
    for name, member in vars(kind).items():
        if isinstance(member, property):
            known[name] = typing.get_type_hints(member.fget).get("return", Any)
    return known


def is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, msgspec.Struct))


def without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(kind) if one is not type(None)]
        return rest[0] if len(rest) == 1 else Any
    return kind


def type_in(scope: dict[str, Any], node: nodes.Node) -> Any:
    """Return the type of a name or of an attribute of one; Any if it is not known."""
    if isinstance(node, nodes.Name):
        return without_none(scope.get(node.name, Any))
    if isinstance(node, nodes.Getattr):
        owner = type_in(scope, node.node)
        if is_record(owner):
            return without_none(types_of(owner).get(node.attr, Any))
    return Any


def unknown_attributes(node: nodes.Node, scope: dict[str, Any]) -> Iterator[str]:
    """Yield each attribute of a template that the type it is read from does not have."""
    if isinstance(node, nodes.Getattr):
        owner = type_in(scope, node.node)
        if is_record(owner) and node.attr not in types_of(owner):
            yield f"{owner.__name__} has no {node.attr}"
    if isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
        scope[node.target.name] = type_in(scope, node.node)
    if isinstance(node, nodes.For) and isinstance(node.target, nodes.Name):
        of = type_in(scope, node.iter)
        if typing.get_origin(of) in (list, tuple):
            scope = scope | {node.target.name: typing.get_args(of)[0]}
    for child in node.iter_child_nodes():
        yield from unknown_attributes(child, scope)


def test_the_check_itself_finds_what_is_missing() -> None:
    (view,) = [kind for kind in view_types() if kind.__name__ == "SessionView"]
    tree = environment().parse(
        "{% set s = data.session %}{{ s.mouse }}"
        "{% for probe in probes %}{{ probe.colour }}{% endfor %}"
    )
    assert list(unknown_attributes(tree, types_of(view))) == [
        "SessionFacts has no mouse",
        "ListedProbe has no colour",
    ]


# -- no view holds what is no number ----------------------------------------------------------


def not_finite(value: Any, place: str = "view") -> Iterator[str]:
    """Yield the place of each number within a struct that is none."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from not_finite(getattr(value, name), f"{place}.{name}")
    elif is_dataclass(value):
        for one in fields(value):
            yield from not_finite(getattr(value, one.name), f"{place}.{one.name}")
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from not_finite(one, f"{place}[{name!r}]")
    elif isinstance(value, list | tuple):
        for i, one in enumerate(value):
            yield from not_finite(one, f"{place}[{i}]")
    elif isinstance(value, float | np.floating) and not math.isfinite(value):
        yield place


def nan_shelf() -> Shelf:
    """Return sessions, a probe and a lab with NaN wherever a number may be missing."""
    shelf = Shelf()
    shelf.places = [Lab("fimbrialab", "Institute", latitude=float("nan"), longitude=1.0)]
    trials = trials_of(120, 1, biased=True)
    times = [name for name in trials if "times" in name or name.startswith("intervals")]
    trials[times] = np.nan
    some = trials_of(90, 2)
    some.loc[::3, ["stimOn_times", "response_times", "contrastLeft", "contrastRight"]] = np.nan
    some.loc[::7, "probabilityLeft"] = np.nan
    for day, table in (("2026-02-01", trials), ("2026-02-02", some)):
        one = shelf.put("FX_001", day, trials_of(len(table), 1), protocol="biased")
        shelf.put_probe(one.id, n_units=3)
        shelf.all[one.id] = (shelf.all[one.id][0], table)
        for (eid, _, name), values in shelf.bytes.items():
            if eid == one.id and name.split(".")[0] == "spikes" and values.dtype.kind == "f":
                if "times" not in name:
                    values[::2] = np.nan
            elif eid == one.id and values.dtype.kind == "f":
                values[...] = np.nan
    return shelf


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_in_the_data_is_missing_in_every_view(store, monkeypatch) -> None:
    seen: list[Any] = []
    encode = subject.encode

    def watched(value: Any) -> bytes:
        seen.append(value)
        return encode(value)

    for module in (subject, probes, lists):
        render = module.render

        def rendered(view: Any, settings: SiteSettings, render=render) -> bytes:
            seen.append(view)
            return render(view, settings)

        monkeypatch.setattr(module, "encode", watched)
        monkeypatch.setattr(module, "render", rendered)
    Site(nan_shelf(), store, now=lambda: NOW, images=False).refresh()

    kinds = {type(view).__name__ for view in seen}
    assert {"SessionView", "SubjectView", "ProbeView", "UnitView", "UnitData"} <= kinds
    assert {"OverviewView", "LabView", "LabsView", "ListView", "DailyView"} <= kinds
    assert sorted({p for view in seen for p in not_finite(view, type(view).__name__)}) == []
    for key in store.names():
        if key.endswith(".html"):
            text = store.read(key)[0].decode()
            assert ">nan" not in text, key
