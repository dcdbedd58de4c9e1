"""What forms and grids need to know of every resource, from the declarations alone.

``python -m functions.api.forms [FILE]`` writes ``site/app/generated/forms.json``; ``GET /forms``
answers the same. What is not said has the default of `FormField` and `Form`: false, null, empty.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from functions.api.engine.declarations import KINDS, Field, Resource
from functions.api.engine.rules import rule_of
from functions.api.resources import RESOURCES
from shared.access import policy
from shared.alf import names
from shared.model.people import Role

FILE = Path("site/app/generated/forms.json")

ORDER_OF_ROLES = (
    *(Role.ANONYMOUS, Role.MEMBER, Role.MANAGER, Role.ADMINISTRATOR),
    *(Role.RIG, Role.WORKER),
)
"""Of the roles that may do something, the first is the least that a person needs."""

SPELT = {"id": "ID", "qc": "QC", "json": "JSON", "url": "URL", "eid": "eid", "fov": "FOV"}
"""Words of labels that are not written as other words."""


class FormField(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field of a form.

    Attributes
    ----------
    name, label, type : str
        As in the declaration; the label is for people.
    to : str
        Kind of the record that it names, by ``by``: ``name`` (its key), ``id`` or ``url``.
    many, required, null, read_only : bool
        ``null`` is true unless said.
    default : any
        Value of a new record, or with ``fills_in`` how it is worked out: ``me`` (the caller's
        name), ``now`` or ``lab``.
    maximum, minimum : number, optional
        Of a number; ``length`` of a text.
    earliest, latest : str
        Days between which a date or a time is; ``ahead`` days from now at most.
    choices : list of str
        Names, as they are shown and sent.
    shape : str
        Of JSON, see `functions.api.engine.declarations.Field`.
    """

    name: str
    label: str
    type: str
    to: str = ""
    by: str = "name"
    many: bool = False
    required: bool = False
    null: bool = True
    read_only: bool = False
    default: Any = None
    fills_in: str = ""
    maximum: float | None = None
    minimum: float | None = None
    length: int | None = None
    earliest: str = ""
    latest: str = ""
    ahead: int | None = None
    choices: list[str] = []
    shape: str = ""
    unit: str = ""
    help: str = ""
    group: str = ""
    pattern: str = ""


class Form(msgspec.Struct, frozen=True, omit_defaults=True):
    """One resource.

    Attributes
    ----------
    path, kind, key : str
        Of its routes, of its records, and the field whose value is a record's key.
    label, singular : str
        What people call the list and one of it.
    title : str
        Field by which a record is shown where another one names it.
    model : str
        What notes and signatures call its kind.
    lab : str
        Field through which its lab is found; empty if it belongs to all labs.
    actions : dict of str to str
        The least role of people for each action; ``anonymous`` stands for everybody.
    many : bool
        Whether POST takes a list too.
    fields : list of FormField
    """

    path: str
    kind: str
    key: str
    label: str
    singular: str
    title: str
    model: str
    fields: list[FormField]
    actions: dict[str, str]
    lab: str = ""
    many: bool = False


class Forms(msgspec.Struct, frozen=True):
    """All forms, and what tells these declarations from others."""

    hash: str
    resources: list[Form]


@functools.cache
def forms() -> Forms:
    """Return the forms of all resources, by path."""
    all_forms = [form_of(RESOURCES[path]) for path in sorted(RESOURCES)]
    return Forms(hashlib.sha256(msgspec.json.encode(all_forms)).hexdigest()[:16], all_forms)


def form_of(resource: Resource) -> Form:
    """Return the form of a resource."""
    actions = {
        action: least
        for action in resource.actions.split()
        if action != "partial_update" and (least := least_role(resource, action))
    }
    return Form(
        path=resource.path,
        kind=resource.kind,
        key=resource.key,
        label=label_of(resource.path),
        singular=label_of(resource.kind),
        title=title_of(resource),
        model=resource.model,
        fields=[field_of(name, f) for name, f in resource.fields.items() if not f.hidden],
        actions=actions,
        lab=resource.lab,
        many=resource.many,
    )


def least_role(resource: Resource, action: str) -> str:
    """Return the least role of people who may do something; empty if only machines or nobody."""
    rule = rule_of(resource, action)
    people = policy.MEMBERS | {Role.ANONYMOUS}
    return next((str(role) for role in ORDER_OF_ROLES if role in rule.roles & people), "")


def title_of(resource: Resource) -> str:
    """Return the field that stands for a record where it is named."""
    if resource.key != "id":
        return resource.key
    return next((name for name in ("name", "title", "subject") if name in resource.fields), "id")


def label_of(name: str) -> str:
    """Return what people call a field, a list or a kind: its name in words."""
    words = [SPELT.get(word, word) for word in name.replace("-", "_").split("_") if word]
    label = " ".join(words)
    return label[:1].upper() + label[1:]


def field_of(name: str, spec: Field) -> FormField:
    """Return the form of a field."""
    worked_out = callable(spec.default)
    default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    dated = spec.type in ("date", "datetime")
    text = spec.type == "text"
    return FormField(
        name=name,
        label=spec.label or label_of(name),
        type=spec.type,
        to=spec.to,
        by=spec.by,
        many=spec.many,
        required=spec.required and not spec.unless,
        null=spec.null,
        read_only=spec.read_only,
        default=None if worked_out else default,
        fills_in=getattr(spec.default, "word", "") if worked_out else "",
        maximum=None if text else spec.maximum,
        minimum=spec.minimum,
        length=int(spec.maximum) if text and spec.maximum else None,
        earliest=spec.earliest if dated else "",
        latest=spec.latest if dated else "",
        ahead=spec.ahead,
        choices=list(spec.choices or ()),
        shape=spec.shape if spec.type == "json" else "",
        unit=spec.unit,
        help=spec.help,
        group=spec.group,
        pattern=pattern_of(spec),
    )


def pattern_of(spec: Field) -> str:
    """Return the pattern of a text as browsers read it (``pattern`` of an input)."""
    pattern = spec.pattern
    if not pattern and isinstance(spec.check, partial) and spec.check.func is names.check:
        kind = names.KINDS.get(spec.check.args[0])
        pattern = kind.pattern if kind else ""
    # Browsers know letters of all scripts by another name, and want hyphens of a set escaped.
    return "" if pattern == ".+" else pattern.replace(r"\w", r"\p{L}\p{N}_").replace("-]", r"\-]")


def text(found: Forms) -> bytes:
    """Return the file of some forms."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def main(arguments: list[str]) -> None:
    """Write the file."""
    if unknown := [argument for argument in arguments if argument.startswith("-")]:
        print(f"usage: python -m functions.api.forms [FILE]  (default {FILE})")
        raise SystemExit(0 if unknown[0] in ("-h", "--help") else 2)
    target = Path(arguments[0]) if arguments else FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text(forms()))
    print(f"{target}: {len(KINDS)} kinds, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
