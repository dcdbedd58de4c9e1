"""Descriptions of all resources for forms and grids, from the declarations alone.

``python -m functions.api.forms [FILE]`` writes ``site/app/generated/forms.json``; ``GET /forms``
answers the same. Absent entries have the defaults of `FormField` and `Form`: false, null, empty.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from functools import partial
from typing import Any

import msgspec

from functions.api.engine.declarations import KINDS, Field, Resource
from functions.api.engine.rules import rule_of
from functions.api.resources import RESOURCES
from shared.access import policy
from shared.alf import names
from shared.model.people import Role

FILE = "site/app/generated/forms.json"

ORDER_OF_ROLES = (
    *(Role.ANONYMOUS, Role.MEMBER, Role.MANAGER, Role.ADMINISTRATOR),
    *(Role.RIG, Role.WORKER),
)
"""Roles of people, the lowest first; then those of machines."""

SPELT = {"id": "ID", "qc": "QC", "json": "JSON", "url": "URL", "eid": "eid", "fov": "FOV"}
"""Spelling of special words in labels."""


class FormField(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field of a form.

    Attributes
    ----------
    name, label, type : str
        Copied from the declaration; the label is for people.
    to : str
        Kind of the referenced record; ``by`` is the form: ``name`` (its key), ``id`` or ``url``.
    many, required, null, read_only : bool
        ``null`` is true by default.
    default : any
        Default value, or with ``fills_in`` its source: ``me`` (the caller's name), ``now`` or
        ``lab``.
    maximum, minimum : number, optional
        Bounds of a number; ``length`` is for texts.
    earliest, latest : str
        First and last day of a date or a time; ``ahead`` is the most days from now.
    choices : list of str
        Names to show and to send.
    shape : str
        Shape of JSON, see `functions.api.engine.declarations.Field`.
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
    """The form of one resource.

    Attributes
    ----------
    path, kind, key : str
        Path of its routes, kind of its records, and the field with a record's key.
    label, singular : str
        Names of the list and of one record for people.
    title : str
        Field that is shown for a record in references.
    model : str
        Name of its kind in notes and signatures.
    lab : str
        Field that leads to its lab; empty if it belongs to all labs.
    actions : dict of str to str
        The lowest role of people for each action; ``anonymous`` stands for everybody.
    many : bool
        Whether POST accepts a list too.
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
    """All forms, and a hash of their declarations."""

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
    """Return the lowest role of people for an action; empty if only machines or nobody may."""
    rule = rule_of(resource, action)
    people = policy.MEMBERS | {Role.ANONYMOUS}
    return next((str(role) for role in ORDER_OF_ROLES if role in rule.roles & people), "")


def title_of(resource: Resource) -> str:
    """Return the field that is shown for a record in references."""
    if resource.key != "id":
        return resource.key
    return next((name for name in ("name", "title", "subject") if name in resource.fields), "id")


def label_of(name: str) -> str:
    """Return the label of a field, a list or a kind: its name in words."""
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
    """Return the pattern of a text in the syntax of browsers (``pattern`` of an input)."""
    pattern = spec.pattern
    if not pattern and isinstance(spec.check, partial) and spec.check.func is names.check:
        kind = names.KINDS.get(spec.check.args[0])
        pattern = kind.pattern if kind else ""
    # Browsers have another name for letters of all scripts, and need escaped hyphens in sets.
    return "" if pattern == ".+" else pattern.replace(r"\w", r"\p{L}\p{N}_").replace("-]", r"\-]")


def text(found: Forms) -> bytes:
    """Return the content of the file of forms."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def main(arguments: list[str]) -> None:
    """Write the file."""
    if unknown := [argument for argument in arguments if argument.startswith("-")]:
        print(f"usage: python -m functions.api.forms [FILE]  (default {FILE})")
        raise SystemExit(0 if unknown[0] in ("-h", "--help") else 2)
    from pathlib import Path  # the API, which answers with the forms, writes no files

    target = Path(arguments[0] if arguments else FILE)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text(forms()))
    print(f"{target}: {len(KINDS)} kinds, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
