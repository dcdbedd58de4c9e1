"""A dump of an invented Alyx, in the shape that ``manage.py dumpdata`` writes."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

KINDS = ("subjects.subject", "actions.session", "misc.lab", "subjects.litter")
"""Models that notes and datasets are about; their places are the numbers of content types."""


@dataclass
class Dump:
    """Rows of a dump, made at random from a seed.

    Attributes
    ----------
    rows : list of dict
    hostile : dict
        Primary key of each row that cannot be carried → part of the reason.
    """

    animals: int = 60
    seed: int = 1
    natural: bool = False
    rows: list[Row] = field(default_factory=list)
    hostile: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._people_and_places()
        self._genes()
        self._colony()
        self._lives()

    def add(self, model: str, pk: Any = None, /, **fields: Any) -> str:
        """Add a row; return its primary key."""
        pk = pk or str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        self.rows.append({"model": model, "pk": pk, "fields": {"json": None, **fields}})
        return pk

    def refuse(self, reason: str, model: str, pk: Any = None, /, **fields: Any) -> str:
        """Add a row that cannot be carried."""
        pk = self.add(model, pk, **fields)
        self.hostile[str(pk)] = reason
        return pk

    def of(self, model: str) -> list[Row]:
        """Return the rows of a model."""
        return [row for row in self.rows if row["model"] == model]

    def key(self, pk: str, *natural: str) -> Any:
        """Return a reference: by primary key, or natural."""
        return list(natural) if self.natural else pk

    def _people_and_places(self) -> None:
        for n, model in enumerate(KINDS, 1):
            app, _, name = model.partition(".")
            if not self.natural:
                self.add("contenttypes.contenttype", n, app_label=app, model=name)
        self.add("auth.group", 7, name="Husbandry", permissions=[1, 2])
        secrets = {"bucket": "b", "Secret access key": "s3cret-key", "nested": {"token": "s3cret"}}
        self.store = self.add(
            "data.datarepository",
            name="flatiron",
            data_url="https://bytes.example.org/public/",
            globus_is_personal=False,
            repository_type=None,
            json=secrets,
        )
        self.cage_type = self.add("misc.cagetype", name="IVC", description="ventilated")
        self.water = self.add("actions.watertype", name="Hydrogel")
        self.labs = [
            self.add(
                "misc.lab",
                name=name,
                institution="",
                address="",
                timezone=zone,
                repositories=[self.key(self.store, "flatiron")],
                reference_weight_pct=0.8,
                zscore_weight_pct=0.0,
                cage_type=self.key(self.cage_type, "IVC"),
                light_cycle=1,
            )
            for name, zone in (("alab", "Europe/London"), ("blab", "America/New_York"))
        ]
        self.users = []
        for name in ("ada", "grace", "jane"):
            user = self.add(
                "misc.labmember",
                username=name,
                password="pbkdf2_sha256$s3cret-hash",
                email=f"{name}@example.org",
                first_name=name.title(),
                last_name="",
                groups=[["Husbandry"] if self.natural else 7] if name == "ada" else [],
                is_active=True,
                is_superuser=name == "jane",
                is_stock_manager=name == "grace",
                is_public_user=False,
                last_login=None,
                date_joined="2017-03-01T17:09:20",
                user_permissions=[],
                allowed_users=[],
            )
            self.users.append(user)
            self.add("authtoken.token", f"s3cret-token-{name}", user=user, created="2020-01-01")
            self.add(
                "misc.labmembership",
                user=self.key(user, name),
                lab=self.labs[0],
                role="",
                start_date="2019-01-01",
                end_date=None,
            )
        # Two who may act for each other
        ada, grace = (row for row in self.of("misc.labmember")[:2])
        ada["fields"]["allowed_users"] = [self.key(self.users[1], "grace")]
        grace["fields"]["allowed_users"] = [self.key(self.users[0], "ada")]
        self.project = self.add("subjects.project", name="brainwide", description="", users=[])
        self.room = self.add("misc.lablocation", name="rig_1", lab=self.labs[0])
        self.procedure = self.add("actions.proceduretype", name="Headplate implant")
        self.add(
            "actions.notificationrule",
            user=self.users[0],
            notification_type="mouse_water",
            subjects_scope="lab",
        )
        self.refuse("nothing is known", "plugins.thing", 3, colour="green")
        self.add("reversion.version", 12, serialized_data="[]")

    def _genes(self) -> None:
        self.species = self.add("subjects.species", name="Mus musculus", nickname="mouse")
        self.sequence = self.add(
            "subjects.sequence", name="Cre", base_pairs="ACGT", description=""
        )
        self.allele = self.add(
            "subjects.allele",
            name="Pvalb<tm1>",
            nickname="PvCre",
            sequences=[self.key(self.sequence, "Cre")],
        )
        self.lines = [
            self.add(
                "subjects.line",
                name="Pvalb-IRES-Cre",
                nickname=nickname,
                alleles=[self.key(self.allele, "PvCre")],
                species=self.key(self.species, "mouse"),
                lab=self.labs[0],
                subject_autoname_index=41,
                litter_autoname_index=3,
                breeding_pair_autoname_index=2,
                is_active=True,
                description="",
                target_phenotype="",
                source_url="",
            )
            for nickname in ("PV", "PV2")  # names are not unique in Alyx
        ]
        self.rule = self.add(
            "subjects.zygosityrule",
            line=self.key(self.lines[0], "PV"),
            allele=self.key(self.allele, "PvCre"),
            sequence0=self.key(self.sequence, "Cre"),
            sequence0_result=1,
            sequence1=None,
            sequence1_result=None,
            zygosity=3,
        )
        self.request = self.add(
            "subjects.subjectrequest",
            user=self.key(self.users[1], "grace"),
            line=self.key(self.lines[0], "PV"),
            count=4,
            date_time="2020-01-10",
            due_date="2020-02-01",
        )
        self.refuse(
            "user",
            "subjects.subjectrequest",
            user=None,
            line=self.lines[0],
            count=1,
            date_time="2020-01-10",
        )

    def animal(self, nickname: str, **fields: Any) -> str:
        """Add an animal."""
        whole = {
            "name": "",
            "nickname": nickname,
            "sex": self.random.choice("MF"),
            "birth_date": "2020-01-01",
            "death_date": None,
            "lab": self.labs[0],
            "line": self.key(self.lines[0], "PV"),
            "litter": None,
            "projects": [],
            "request": None,
            "responsible_user": self.key(self.users[0], "ada"),
            "species": self.key(self.species, "mouse"),
            "cage": "",
            "ear_mark": "",
            "description": "",
            "protocol_number": "1",
            "to_be_culled": False,
            "to_be_genotyped": False,
        }
        return self.add("subjects.subject", **{**whole, **fields})

    def _colony(self) -> None:
        """Make generations of animals, each pup behind its parents or before them in the dump."""
        self.subjects = [
            self.animal(f"F{n:04d}", sex="MF"[n % 2], birth_date="2019-01-01") for n in range(8)
        ]
        sexes = {row["pk"]: row["fields"]["sex"] for row in self.of("subjects.subject")}
        self.litters: list[str] = []
        while len(self.subjects) < self.animals:
            father = self.random.choice([s for s in self.subjects if sexes[s] == "M"])
            mother = self.random.choice([s for s in self.subjects if sexes[s] == "F"])
            n = len(self.litters)
            pair = self.add(
                "subjects.breedingpair",
                name=f"PV_BP_{n:03d}" if n % 5 else "-",
                line=self.key(self.lines[0], "PV"),
                father=father,
                mother1=mother,
                mother2=None,
                start_date="2020-02-01",
                end_date=None if n % 2 else "2020-06-01",
                description="",
            )
            name = f"PV_L_{n:03d}"
            litter = self.add(
                "subjects.litter",
                name=name,
                line=self.key(self.lines[0], "PV"),
                breeding_pair=pair if not self.natural or n % 5 == 0 else [f"PV_BP_{n:03d}"],
                birth_date="2020-04-01",
                description="",
            )
            self.litters.append(litter)
            for _ in range(min(self.random.randint(1, 8), self.animals - len(self.subjects))):
                pup = self.animal(
                    f"F{len(self.subjects):04d}",
                    litter=self.key(litter, name),
                    birth_date="2020-04-01",
                    lab=self.labs[len(self.subjects) % 2],
                    request=self.request if self.random.random() < 0.1 else None,
                )
                self.subjects.append(pup)
                sexes[pup] = self.rows[-1]["fields"]["sex"]
        self.random.shuffle(self.rows)  # Django takes rows in any order
        # A nickname of both labs, an animal without one, a circle of parents, a dangling litter
        self.twin = self.animal("F0000", lab=self.labs[1])
        self.unnamed = self.animal("-", line=self.key(self.lines[1], "PV2"))
        pair = self.add(
            "subjects.breedingpair",
            name="own_parent",
            line=self.lines[0],
            father=None,
            mother1=None,
            mother2=None,
        )
        litter = self.add("subjects.litter", name="circle", line=self.lines[0], breeding_pair=pair)
        self.circle = self.animal("own_child", litter=litter, sex="M")
        self.of("subjects.breedingpair")[-1]["fields"]["father"] = self.circle
        self.orphan = self.animal("orphan", litter=str(uuid.UUID(int=9, version=4)))
        self.refuse("lab", "subjects.subject", nickname="homeless", lab=None)
        self.refuse("birth", "subjects.subject", nickname="odd", lab=self.labs[0], birth_date=17)
        again = self.animal("twice")
        self.hostile[f"{again} #{len(self.rows)}"] = "later row"
        self.animal("twice_again")
        self.rows[-1]["pk"] = again

    def _lives(self) -> None:
        choose, randint = self.random.choice, self.random.randint
        start = dt.datetime(2020, 7, 1, 9)
        cages = [
            self.add(
                "misc.housing",
                name="",
                cage_name=f"C{n}",
                cage_type=self.cage_type,
                enrichment=None,
                food=None,
                light_cycle=0,
                cage_cleaning_frequency_days=7,
            )
            for n in range(max(2, self.animals // 5))
        ]
        self.sessions = []
        for n, animal in enumerate(self.subjects):
            at = (start + dt.timedelta(days=n % 60)).isoformat()
            user = self.key(self.users[n % 2], ("ada", "grace")[n % 2])
            stays = randint(0, 2)
            for stay in range(stays):
                self.add(
                    "misc.housingsubject",
                    name="",
                    subject=animal,
                    housing=choose(cages),
                    start_datetime=f"2020-05-0{stay + 1}T10:00:00",
                    end_datetime=None,
                )
            self.add(
                "actions.weighing",
                name="",
                subject=animal,
                user=user,
                date_time=at,
                weight=round(self.random.uniform(18, 30), 1),
            )
            if n % 3 == 0:
                self._training(animal, user, at)
            if n % 4 == 0:
                self.add(
                    "subjects.genotypetest",
                    name="",
                    subject=animal,
                    sequence=self.key(self.sequence, "Cre"),
                    test_result=1,
                )
                self.add(
                    "subjects.zygosity",
                    name="",
                    subject=animal,
                    allele=self.key(self.allele, "PvCre"),
                    zygosity=choose([1, 3]),
                )
            if n % 7 == 0:
                self.add(
                    "actions.cull",
                    name="",
                    subject=animal,
                    user=user,
                    date="2021-02-01",
                    cull_reason=None,
                    cull_method=None,
                    description="",
                )
        # Two labs' animals of one nickname, trained on the same day
        for animal in (self.subjects[0], self.twin):
            self._training(animal, self.key(self.users[0], "ada"), "2020-08-30T09:00:00")
        self._hostile_records()

    def _training(self, animal: str, user: Any, at: str) -> None:
        action = {
            "name": "",
            "subject": animal,
            "users": [user],
            "lab": None,
            "location": None,
            "procedures": [],
            "narrative": "",
            "end_time": None,
        }
        self.add(
            "actions.surgery",
            **action | {"procedures": [self.procedure], "lab": None},
            start_time="2020-06-01T10:00:00",
            outcome_type="r",
            implant_weight=1.2,
        )
        self.add(
            "actions.waterrestriction",
            **action,
            start_time="2020-06-20T08:00:00",
            reference_weight=24.0,
            water_type=self.key(self.water, "Hydrogel"),
        )
        session = self.add(
            "actions.session",
            **action,
            start_time=at,
            number=1,
            type="Experiment",
            projects=[self.project],
            task_protocol="training",
            qc=10,
            parent_session=None,
            n_trials=200,
            extended_qc={"a": 1},
        )
        self.sessions.append(session)
        self.add(
            "actions.wateradministration",
            name="",
            subject=animal,
            user=user,
            date_time=at,
            water_administered=0.8,
            session=session,
            adlib=False,
            water_type=self.key(self.water, "Hydrogel"),
        )
        data = self.add(
            "data.dataset",
            name="_ibl_trials.table.pqt",
            collection="alf",
            session=session,
            file_size=123,
            hash="",
            version="",
            qc=0,
            default_dataset=True,
            tags=[],
            revision=None,
            created_by=user,
            dataset_type=None,
            data_format=None,
            content_type=None,
            object_id=None,
            created_datetime="2020-07-02T10:00:00",
        )
        self.add(
            "data.filerecord",
            name="",
            dataset=data,
            exists=True,
            data_repository=self.key(self.store, "flatiron"),
            relative_path=f"alab/Subjects/x/{session}/_ibl_trials.table.pqt",
        )
        self.add(
            "misc.note",
            name="",
            user=user,
            date_time=at,
            text="calm",
            object_id=session,
            image="",
            content_type=["actions", "session"] if self.natural else 2,
        )

    def _hostile_records(self) -> None:
        lived_in = {row["fields"]["housing"] for row in self.of("misc.housingsubject")}
        empty = {row["pk"] for row in self.of("misc.housing")} - lived_in
        self.hostile |= dict.fromkeys(empty, "no animal lived in it")
        first, nobody = self.subjects[0], str(uuid.UUID(int=5, version=4))
        weight = {"name": "", "subject": first, "user": None, "date_time": "2020-07-01T09:00:00"}
        self.refuse(
            "not in the dump", "actions.weighing", **weight | {"subject": nobody}, weight=20
        )
        self.refuse("no number", "actions.weighing", **weight, weight="heavy")
        self.refuse(
            "no time", "actions.weighing", **weight | {"date_time": "yesterday"}, weight=20
        )
        self.refuse("no date time", "actions.weighing", **weight | {"date_time": None}, weight=20)
        self.refuse(
            "between",
            "actions.weighing",
            **weight | {"date_time": "2099-01-01T00:00:00"},
            weight=20,
        )
        self.refuse("10000", "actions.weighing", **weight, weight=1e9)
        self.refuse(
            "what it is about",
            "misc.note",
            name="",
            user=self.users[0],
            text="of nobody",
            date_time="2020-07-01T09:00:00",
            object_id=nobody,
            content_type=["subjects", "subject"],
        )
        self.refuse(
            "content",
            "misc.note",
            name="",
            user=self.users[0],
            text="of nothing",
            date_time="2020-07-01T09:00:00",
            object_id=first,
            content_type=99,
        )
        self.add(
            "misc.note",
            name="",
            user=self.users[0],
            text="picture",
            date_time="2020-07-01T09:00:00",
            object_id=first,
            image="2020/07/01/gone.png",
            content_type=["subjects", "subject"],
        )
        self.refuse(
            "allele", "subjects.zygosity", name="", subject=first, allele=nobody, zygosity=1
        )
        self.refuse(
            "part of",
            "data.filerecord",
            name="",
            dataset=nobody,
            exists=True,
            data_repository=self.store,
            relative_path="a/b.npy",
        )
