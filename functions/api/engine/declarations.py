"""Declarations of resources, which drive validation, storage, OpenAPI and permissions.

Adding a resource takes a few lines::

    Resource(
        path="cage-types",
        kind="cage-type",
        model="misc.cagetype",
        key="name",
        fields={"name": text(required=True, maximum=255), "description": text()},
    )

gives ``GET/POST /cage-types`` and ``GET/PUT/PATCH/DELETE /cage-types/{name}``, stored as documents
of that kind with a unique name, filtered by its fields, in the OpenAPI document with its example,
open to reading for every account and to writing for members.

One file, because these few types and their defaults are the language that every resource is
written in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan

Body = dict[str, Any]
Row = Mapping[str, Any]
Effect = Callable[["Plan", Body | None, Body | None, "Call"], None]

ACTIONS = ("list", "create", "read", "update", "partial_update", "delete")
CRUD = " ".join(ACTIONS)
"""All actions of a resource, by their names in ONE and OpenAPI."""


class Field(msgspec.Struct, frozen=True, eq=False):
    """One field of a resource.

    Attributes
    ----------
    type : str
        text, int, float, bool, date, datetime, uuid, json, choice, floats or ref.
    to : str
        Kind of the record that a ``ref`` points to; filters follow it also where a text, a number
        or JSON holds the key, or a list of keys.
    stands_for : tuple of str
        Fields of an Alyx record of which only this text is stored; filters may name them.
    by : str
        Form of a reference: ``name`` (its key), ``id`` or ``url``.
    many : bool
        Whether it is a list of references.
    required : bool
        Whether a new record must have it.
    unless : tuple of str
        Fields that can replace it: if one of them is given, its value follows from that one.
    null : bool
        Whether it may be null.
    read_only : bool
        Whether values from clients are ignored.
    imported : bool
        Whether imports set it although it is read-only.
    default : any
        Default value in new records; a function is called with the `Call`.
    maximum, minimum : number, optional
        Bounds of a number, or of the length of a text.
    choices : mapping, optional
        Name to stored value, for ``choice``; clients are shown the name.
    earliest, latest : str
        The first and the last day of a date or a time.
    ahead : int, optional
        Days that a date or a time may lie ahead of the present.
    shape : str
        Shape of JSON: ``object``, ``objects`` or ``texts`` (lists of them), or ``any``.
    items : mapping of str to Field, optional
        Fields of each object of a list; references among them are followed like any others.
    on_delete : str
        Effect of deleting the record that a ``ref`` names: ``refuse`` (that record is kept),
        ``cascade`` (this record is deleted too) or ``keep`` (the name stays as history).
    check : callable, optional
        Takes the value, raises ValueError with a message.
    indexed : bool
        Whether ``?django=`` may name it.
    param : bool
        Whether it is a filter of the list.
    hidden : bool
        Whether it is never shown.
    label, help, group : str
        Label, help text and group in forms; the label is its name by default.
    unit : str
        Unit of a number in forms.
    pattern : str
        Regular expression of a text for forms; the server uses `check`.
    """

    type: str
    to: str = ""
    stands_for: tuple[str, ...] = ()
    by: str = "name"
    many: bool = False
    required: bool = False
    unless: tuple[str, ...] = ()
    null: bool = True
    read_only: bool = False
    imported: bool = False
    default: Any = None
    maximum: float | None = None
    minimum: float | None = None
    choices: Mapping[str, Any] | None = None
    earliest: str = "1900-01-01"
    latest: str = "2199-12-31"
    ahead: int | None = None
    shape: str = "object"
    items: Mapping[str, Field] | None = None
    on_delete: str = "refuse"
    check: Callable[[Any], Any] | None = None
    indexed: bool = True
    param: bool = True
    hidden: bool = False
    label: str = ""
    help: str = ""
    group: str = ""
    unit: str = ""
    pattern: str = ""

    def initial(self, call: Call) -> Any:
        """Return the value in a new record for which none is given."""
        value = self.default(call) if callable(self.default) else self.default
        return list(value) if isinstance(value, tuple) else value


def fills_in(word: str) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Return the name of a computed default in forms: ``me``, ``now`` or ``lab``."""

    def named(make: Callable[[Call], Any]) -> Callable[[Call], Any]:
        make.word = word  # type: ignore[attr-defined]
        return make

    return named


def text(**options: Any) -> Field:
    """Return a text field; like Alyx's, it is an empty text by default."""
    options.setdefault("default", None if options.get("null") else "")
    options.setdefault("null", False)
    return Field("text", **options)


def integer(**options: Any) -> Field:
    """Return a whole number."""
    return Field("int", **options)


def number(**options: Any) -> Field:
    """Return a number."""
    return Field("float", **options)


def flag(**options: Any) -> Field:
    """Return a yes or no."""
    options.setdefault("default", False)
    return Field("bool", **options)


def date(**options: Any) -> Field:
    """Return a calendar date."""
    return Field("date", **options)


def datetime(**options: Any) -> Field:
    """Return an instant; shown as the lab's wall clock."""
    return Field("datetime", **options)


def json(**options: Any) -> Field:
    """Return free JSON, an object by default; lookups of its keys are allowed."""
    return Field("json", **options)


def listing(items: Mapping[str, Field], **options: Any) -> Field:
    """Return a list of objects that have these fields."""
    options.setdefault("default", ())
    return Field("json", shape="objects", items=items, null=False, **options)


def choice(choices: Mapping[str, Any], **options: Any) -> Field:
    """Return a choice among names, stored as the values."""
    return Field("choice", choices=choices, **options)


def ref(to: str, **options: Any) -> Field:
    """Return a reference to a record of a kind."""
    return Field("ref", to=to, **options)


def refs(to: str, **options: Any) -> Field:
    """Return a list of references."""
    options.setdefault("default", ())
    return Field("ref", to=to, many=True, **options)


class Access(msgspec.Struct, frozen=True, eq=False):
    """The rights to a resource.

    Attributes
    ----------
    read : str
        ``public`` (anonymous callers see public records), ``account``, or ``manager`` (managers
        see those of their labs).
    create, change, delete : str
        The lowest role: ``member``, ``stock`` (members who are stock managers), ``manager``,
        ``administrator``, or ``none``.
    rig, worker : str
        Rights of these machines: any of ``read create change delete``.
    husbandry : bool
        Whether husbandry staff may write it in a lab that is not open to all its members.
    welfare : tuple of str
        Fields that all members of any lab may change; ``*`` for all fields.
    """

    read: str = "account"
    create: str = "member"
    change: str = "member"
    delete: str = "member"
    rig: str = "read"
    worker: str = "read"
    husbandry: bool = False
    welfare: tuple[str, ...] = ()


LAB_DATA = Access()
"""Records of a lab, written by its members."""

HUSBANDRY = Access(husbandry=True)
"""Animals, cages, pairs and litters."""

COLONY = Access(create="stock", change="stock", delete="manager")
"""Lines, alleles and rules of a colony, written by stock managers."""

LISTS = Access(create="manager", change="manager", delete="manager")
"""Lists that managers write."""

REFERENCE = Access(read="public", change="manager", delete="administrator")
"""Lists that all labs share: members add, managers edit."""

FIXED = Access(
    read="public", create="administrator", change="administrator", delete="administrator"
)
"""Records that only administrators change."""


class Resource(msgspec.Struct, frozen=True, eq=False):
    """A family of records and its routes.

    Attributes
    ----------
    path : str
        First segment of its routes.
    kind : str
        Its name in the table and the index.
    model : str
        ``app.model``, its name in notes and generic relations.
    fields : mapping of str to Field
    key : str
        Field whose value is the key of a record: a name, or ``id``.
    also : tuple of str
        Other fields whose values (or any item of them) may name a record.
    actions : str
        Which of `CRUD` it has.
    access : Access
    lab : str
        Field that leads to a record's lab: ``lab``, or a reference (``subject``, ``session``, …);
        empty if records belong to all labs.
    own : str
        Field with the user who owns the record: others neither see nor change it, administrators
        excepted; a record without a user belongs to its lab.
    public_by : str
        Reference to the session that decides whether a record is public; empty if the whole list
        is public.
    filters : mapping
        Filters beyond the fields; a lookup (``"subject__iexact"``) or a function that takes the
        value and the call and returns conditions.
    reverse : mapping
        Relations from other records: name in lookups → (kind, its field, own field). A function
        may replace its field: it takes the selection of that kind and returns values of the own
        field. Without an own field the values are places of datasets.
    stored : mapping
        Relations and fields that the index does not hold: name in lookups → (kind or empty,
        function that returns the rows there of a stored record).
    unique : sequence of tuples
        Sets of fields no two records may share; a name that ends in ``?`` may be empty in them.
    look : callable, optional
        Name → its visual form; no two records may look the same.
    within : str
        Field with the lab within which names are unique; empty if they are unique everywhere.
    title : callable, optional
        Key → the name that clients are shown, if keys hold more than that name; such records are
        found by `functions.api.engine.meanings`.
    parent : callable, optional
        Body → (partition, sort key) under which gsi1 files it.
    place : callable, optional
        Body → (partition, sort key) of its item, if it does not have its own partition.
    prepare : callable, optional
        (body, former body or None, call) → body; checks and fills in before it is stored.
    effects : tuple of callables
        (plan, former body or None, body or None, call); plan the consequences of a write, in the
        same transaction (see `functions.api.engine.plan`).
    owners : callable, optional
        Body → (kind, key)s of the records that it names by other means than a ``ref``; they must
        exist when it is written.
    permit : callable, optional
        (former body or None, body or None, call); raises if the caller may not make this write, in
        addition to the rules of routes and fields. It checks what callers write and what they
        undo.
    allow_delete : callable, optional
        (body, call); raises if the record must not be deleted.
    show, show_detail : callable, optional
        (shown row, stored row, call) → shown row; adds computed values.
    order : tuple of str, optional
        Fields that the list is sorted by.
    columns : tuple of str, optional
        Fields of the index that the list reads; all by default.
    brief : frozenset of str
        Filters that use only the fields that the public sees of a session known from a release
        alone.
    shown : tuple of str
        Fields of a row of the list, in order; all by default.
    django : bool
        Whether the list accepts ``?django=``; if not, only the key and ``filters`` are documented
        as its parameters.
    live : bool
        Whether later pages show the list at their own time, not at the time of the first page.
    many : bool
        Whether POST accepts a list too.
    store : object, optional
        Store that reads and writes the records, if they are not documents (see
        `functions.api.engine.stores`).
    example : mapping
        A body that creates a record.
    """

    path: str
    kind: str
    model: str
    fields: Mapping[str, Field]
    key: str = "id"
    also: tuple[str, ...] = ()
    actions: str = CRUD
    access: Access = LAB_DATA
    lab: str = ""
    own: str = ""
    public_by: str = ""
    filters: Mapping[str, Any] = msgspec.field(default_factory=dict)
    reverse: Mapping[str, tuple[str, Any, str]] = msgspec.field(default_factory=dict)
    stored: Mapping[str, tuple[str, Callable[[Row], list[Body]]]] = msgspec.field(
        default_factory=dict
    )
    unique: Sequence[tuple[str, ...]] = ()
    look: Callable[[str], str] | None = None
    within: str = ""
    title: Callable[[str], str] | None = None
    parent: Callable[[Body], tuple[str, str] | None] | None = None
    place: Callable[[Body], tuple[str, str] | None] | None = None
    prepare: Callable[[Body, Body | None, Call], Body] | None = None
    effects: tuple[Effect, ...] = ()
    owners: Callable[[Body], Sequence[tuple[str, str]]] | None = None
    permit: Callable[[Body | None, Body | None, Call], None] | None = None
    allow_delete: Callable[[Body, Call], None] | None = None
    show: Callable[[Body, Row, Call], Body] | None = None
    show_detail: Callable[[Body, Row, Call], Body] | None = None
    order: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    brief: frozenset[str] = frozenset()
    shown: tuple[str, ...] = ()
    django: bool = True
    live: bool = False
    many: bool = False
    store: Any = None
    example: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def title_of(self, key: str) -> str:
        """Return the name that clients are shown for a key."""
        return self.title(key) if self.title else key

    @property
    def name(self) -> str:
        """The model's name in messages, e.g. ``Session``."""
        return "".join(part.capitalize() for part in self.kind.split("-"))

    def has(self, action: str) -> bool:
        """Return whether the resource has an action."""
        return action in self.actions.split()

    def takes(self) -> list[str]:
        """Return the names of all query parameters that filter the list, documented or not."""
        own = [name for name, field in self.fields.items() if field.indexed and not field.hidden]
        names = ["id", *own, *self.filters, *(["django"] if self.django else [])]
        return list(dict.fromkeys(names))

    def all_filters(self) -> list[str]:
        """Return the names of the list's documented query parameters, without duplicates."""
        own = [
            name
            for name, field in self.fields.items()
            if field.indexed and field.param and not field.hidden and field.type != "json"
            if self.django or name == self.key
        ]
        names = [*own, *self.filters]
        names += ["django"] if self.django else []
        return list(dict.fromkeys([*names, "limit", "offset"]))

    def with_(self, **changes: Any) -> Resource:
        """Return a copy with some attributes changed."""
        return msgspec.structs.replace(self, **changes)


RESOURCES: dict[str, Resource] = {}
"""All resources by path."""

KINDS: dict[str, Resource] = {}
"""All resources by kind."""

MODELS: dict[str, Resource] = {}
"""All resources by model name, with and without the app."""


def declare(*resources: Resource) -> None:
    """Add resources to the API."""
    for resource in resources:
        RESOURCES[resource.path] = resource
        KINDS[resource.kind] = resource
        MODELS[resource.model] = MODELS[resource.model.partition(".")[2]] = resource
