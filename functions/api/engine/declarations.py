"""What a resource is: one declaration drives validation, storage, OpenAPI and permissions.

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
"""Every action of a resource, as ONE and OpenAPI name them."""


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
        Fields of a record of Alyx, of which we keep this text alone; filters may name them.
    by : str
        How a reference is written: ``name`` (its key), ``id`` or ``url``.
    many : bool
        Whether it is a list of references.
    required : bool
        Whether a new record must have it.
    unless : tuple of str
        Fields of which one is enough to do without it; then it is worked out from that one.
    null : bool
        Whether it may be null.
    read_only : bool
        Whether what a client sends for it is ignored.
    imported : bool
        Whether it is taken over from another store although it is read-only.
    default : any
        Value of a new record that does not have it; a function is called with the `Call`.
    maximum, minimum : number, optional
        Of a number, or of the length of a text.
    choices : mapping, optional
        Name to stored value, for ``choice``; what is shown is the name.
    earliest, latest : str
        The first and the last day of a date or a time.
    ahead : int, optional
        Days that a date or a time may lie ahead of the present.
    shape : str
        Of JSON: ``object``, ``objects`` or ``texts`` (lists of them), or ``any``.
    items : mapping of str to Field, optional
        Fields of each object of a list; references among them are followed like any others.
    on_delete : str
        What becomes of this record when the one that a ``ref`` names is deleted: ``refuse`` (that
        one is kept), ``cascade`` (this one goes too) or ``keep`` (the name stays as history).
    check : callable, optional
        Takes the value, raises ValueError with a message.
    indexed : bool
        Whether it may be named by ``?django=``.
    param : bool
        Whether it is a filter of the list.
    hidden : bool
        Whether it is never shown.
    label, help, group : str
        What forms call it, say beside it, and put it under; the label is its name unless said.
    unit : str
        Of a number, as forms show it.
    pattern : str
        Regular expression of a text, for forms; `check` decides.
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
        """Return the value of a new record that is given none."""
        value = self.default(call) if callable(self.default) else self.default
        return list(value) if isinstance(value, tuple) else value


def fills_in(word: str) -> Callable[[Callable[[Call], Any]], Callable[[Call], Any]]:
    """Say what forms call a default that is worked out: ``me``, ``now`` or ``lab``."""

    def named(make: Callable[[Call], Any]) -> Callable[[Call], Any]:
        make.word = word  # type: ignore[attr-defined]
        return make

    return named


def text(**options: Any) -> Field:
    """Return a text field; absent it is an empty text, as Alyx's are."""
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
    """Return free JSON, an object unless said; lookups of its keys are allowed."""
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
    """Who may do what with a resource.

    Attributes
    ----------
    read : str
        ``public`` (anonymous callers see public records), ``account``, or ``manager`` (managers
        see those of their labs).
    create, change, delete : str
        The least role: ``member``, ``stock`` (members who are stock managers), ``manager``,
        ``administrator``, or ``none``.
    rig, worker : str
        What these machines may do: any of ``read create change delete``.
    husbandry : bool
        Whether those who keep animals write it in a lab that is not open to all its members.
    welfare : tuple of str
        Fields whose changes are open to all members of any lab; ``*`` for all it is.
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
"""Animals, and what they live and are bred in."""

COLONY = Access(create="stock", change="stock", delete="manager")
"""What a colony is bred by: lines, alleles, rules; stock managers keep it."""

LISTS = Access(create="manager", change="manager", delete="manager")
"""Lists that managers keep."""

REFERENCE = Access(read="public", change="manager", delete="administrator")
"""Lists that all labs share: members add, managers edit."""

FIXED = Access(
    read="public", create="administrator", change="administrator", delete="administrator"
)
"""What only administrators change."""


class Resource(msgspec.Struct, frozen=True, eq=False):
    """A family of records and its routes.

    Attributes
    ----------
    path : str
        First segment of its routes.
    kind : str
        Its name in the table and the index.
    model : str
        ``app.model`` as notes and generic relations name it.
    fields : mapping of str to Field
    key : str
        Field whose value is the key of a record: a name, or ``id``.
    also : tuple of str
        Other fields by whose values, or any of their values, a record may be named.
    actions : str
        Which of `CRUD` it has.
    access : Access
    lab : str
        Where a record's lab is: ``lab``, or a reference through which it is found (``subject``,
        ``session``, …); empty if it belongs to all labs.
    own : str
        Field with the user whose record it is: others neither see nor change it, administrators
        excepted; empty of a record, it is its lab's.
    public_by : str
        Reference to the session that decides whether the public sees a record; empty if it is
        public like the whole list.
    filters : mapping
        Filters beyond the fields; a lookup (``"subject__iexact"``) or a function that takes the
        value and the call and returns conditions.
    reverse : mapping
        Relations from other records: name in lookups → (kind, its field, own field); instead of
        its field a function of what was found of the kind, that returns values of the own field.
        With no own field the values are places of datasets.
    stored : mapping
        Relations and fields that the index does not hold: name in lookups → (kind or empty,
        function that returns the rows there of a stored record).
    unique : sequence of tuples
        Sets of fields no two records may share; a name that ends in ``?`` may be empty in them.
    look : callable, optional
        Name → what it looks like; no two records may look the same.
    within : str
        Field with the lab within which names are unique; empty if they are unique everywhere.
    title : callable, optional
        Key → the name that clients are shown of it, if keys say more than that; such records are
        found by `functions.api.engine.meanings`.
    parent : callable, optional
        Body → (partition, sort key) under which gsi1 files it.
    place : callable, optional
        Body → (partition, sort key) where it is stored, if not on its own.
    prepare : callable, optional
        (body, former body or None, call) → body; checks and fills in before it is stored.
    effects : tuple of callables
        (plan, former body or None, body or None, call); plan what follows from a write, in the
        same transaction (see `functions.api.engine.plan`).
    owners : callable, optional
        Body → (kind, key)s of the records that it names otherwise than by a ``ref``; they must be
        there when it is written.
    permit : callable, optional
        (former body or None, body or None, call); raises if the caller may not write it so, beyond
        what the rules of routes and fields say. It is asked of what callers write by themselves
        and of what they take back.
    allow_delete : callable, optional
        (body, call); raises to keep a record.
    show, show_detail : callable, optional
        (shown row, stored row, call) → shown row; adds what is worked out.
    order : tuple of str, optional
        What the list is sorted by.
    columns : tuple of str, optional
        Fields of the index that a row of the list is made of, if not all.
    brief : frozenset of str
        Filters of the list that look at nothing but what the public is shown of a session known
        from a release alone.
    shown : tuple of str
        Fields of a row of the list, in order; all by default.
    django : bool
        Whether the list takes ``?django=``; without it, only the key and ``filters`` are
        documented as its parameters.
    live : bool
        Whether later pages show the list as it is then, rather than as it was at the first.
    many : bool
        Whether POST takes a list too.
    store : object, optional
        What reads and writes the records, if they are not documents (see
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
        """Return the name that clients are shown of a key."""
        return self.title(key) if self.title else key

    @property
    def name(self) -> str:
        """The model's name as messages have it, e.g. ``Session``."""
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
