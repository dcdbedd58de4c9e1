"""Which files make up a page, and the text in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.results.html import (
    Link,
    Quantity,
    Settings,
    code,
    facts,
    figure,
    how_synthetic,
    link,
    page,
    safe_name,
    table,
    text,
)
from shared.results.lists import SESSION_COLUMNS, columns, protocol
from shared.results.source import TRIALS, Lab, Session, Subject
from shared.results.store import encode

ROOT = "../"
"""From a page of one session, subject or lab to the root of the site."""

SUBJECT_COLUMNS = (
    "subject",
    "lab",
    "sex",
    "birth_date",
    "line",
    "n_sessions",
    "n_trials",
    "first",
    "last",
    "last_protocol",
    "performance_easy",
    "recent",
    "status",
    "days_to_trained",
    "n_probes",
    "synthetic",
)


PROBE_COLUMNS = (
    "id",
    "date",
    "lab",
    "subject",
    "name",
    "n_units",
    "n_good",
    "n_spikes",
    "synthetic",
)


def of_session(eid: str) -> list[str]:
    """Return the files of a session's page."""
    return [f"sessions/{safe_name(eid)}.html", session_data(eid), session_image(eid)]


def session_data(eid: str) -> str:
    """Return the key of a session's data."""
    return f"data/sessions/{safe_name(eid)}.json"


OVERVIEW_DATA, OVERVIEW_IMAGE = "data/overview.json", "data/overview.png"


def session_image(eid: str) -> str:
    """Return the key of a session's picture."""
    return f"data/sessions/{safe_name(eid)}.png"


def of_subject(nickname: str) -> list[str]:
    """Return the files of a subject's page."""
    name = safe_name(nickname)
    return [
        f"subjects/{name}.html",
        subject_data(nickname),
        subject_trials(nickname),
        subject_image(nickname),
    ]


def subject_image(nickname: str) -> str:
    """Return the key of a subject's picture."""
    return f"data/subjects/{safe_name(nickname)}.png"


def subject_data(nickname: str) -> str:
    """Return the key of a subject's data."""
    return f"data/subjects/{safe_name(nickname)}.json"


def subject_trials(nickname: str) -> str:
    """Return the key of the table of all trials of a subject."""
    return f"data/subjects/{safe_name(nickname)}.trials.pqt"


def of_lab(lab: str) -> list[str]:
    """Return the files of a lab's page."""
    return [f"labs/{safe_name(lab)}.html", lab_data(lab), lab_image(lab)]


def lab_image(lab: str) -> str:
    """Return the key of a lab's picture."""
    return f"data/labs/{safe_name(lab)}.png"


def lab_data(lab: str) -> str:
    """Return the key of a lab's data."""
    return f"data/labs/{safe_name(lab)}.json"


def of_probes(eid: str) -> list[str]:
    """Return what the names of all files of a session's probes and units start with."""
    name = safe_name(eid)
    return [f"{folder}/{name}-" for folder in ("probes", "data/probes", "units", "data/units")]


def probe_row(one: Session, pid: str, collection: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a probe's row of the probe list."""
    summary = content["summary"]
    return {
        "id": pid,
        "session": one.id,
        "date": one.date,
        "lab": one.lab,
        "subject": one.subject,
        "name": " · ".join(collection.split("/")[1:]),
        "n_units": summary["n_units"],
        "n_good": summary["n_good"],
        "n_spikes": summary["n_spikes"],
        "synthetic": int(one.synthetic),
    }


def probe(
    settings: Settings,
    one: Session,
    pid: str,
    collection: str,
    content: dict[str, Any],
    units: Mapping[int, dict[str, Any]],
    drift: bytes,
    made_from: dict[str, Any],
) -> dict[str, bytes]:
    """Return the files of a probe's page and of its units'."""
    name = safe_name(pid)
    row = probe_row(one, pid, collection, content)
    address, data, image = f"probes/{name}.html", f"data/probes/{name}.json", f"{name}.drift.png"
    unit_page = f"units/{name}.html"
    synthetic = "all" if one.synthetic else ""
    about = {**row, "collection": collection, "number": one.number}
    summary = content["summary"]
    title = f"{one.subject} · {one.date} · {row['name']}"
    crumbs = [
        ("probes.html", "Probes"),
        (of_subject(one.subject)[0], one.subject),
        (of_session(one.id)[0], f"{one.date} · {one.number:03d}"),
    ]
    load = load_spikes(settings, one, collection)
    body = (
        facts(
            [
                ("Lab", one.lab),
                ("Units", f"{summary['n_units']:,}"),
                ("Good units", f"{summary['n_good']:,}"),
                ("Spikes", f"{summary['n_spikes']:,}"),
                ("Recording", f"{number(summary['duration'], 0)} min"),
            ]
        )
        + figure(
            "drift",
            "Drift map",
            wide=True,
            note="Spikes by time and depth along the probe, darker where there are more.",
        )
        + figure(
            "example",
            "Around one trial",
            note="Every spike by depth; shade is amplitude.",
        )
        + (
            figure(
                "peth",
                "Response to the stimulus by depth",
                note="Firing rate around stimulus onset, in standard deviations of the time "
                "before it.",
            )
            if content["peth"]
            else ""
        )
        + figure(
            "units",
            "Units",
            wide=True,
            note="Depth, amplitude and firing rate. Filled: passes all three single-unit "
            "criteria (refractory period, noise cut-off, amplitude over 50 µV).",
        )
        + '<section><h2>Unit quality</h2><div id="list" data-kind="units"></div></section>'
        + "<section><h2>Load exactly this</h2>"
        + code(load, "Python code to load these spikes")
        + _downloads([(data, "JSON"), (f"data/probes/{image}", "Drift map as PNG")])
        + "</section>"
        + _provenance(made_from)
    )
    files = {
        data: encode({"probe": about, **content, "made_from": made_from}),
        f"data/probes/{image}": drift,
        address: page(
            settings,
            "probe",
            address,
            title,
            body,
            data={"src": data, "image": f"data/probes/{image}", "units": unit_page},
            description=f"Sorted spikes of {title}",
            crumbs=crumbs,
            synthetic=synthetic,
        ),
    }
    body = (
        '<div class="found"><p id="which"></p><div class="pager">'
        '<button type="button" id="previous">Previous unit</button>'
        '<button type="button" id="next">Next unit</button></div></div>'
        '<div id="facts"></div>'
        '<div class="filters"><label>Aligned to, sorted by<select id="pair"></select></label>'
        "</div>"
        + figure("raster", "Raster", note="Each row a trial, each dot a spike.")
        + figure(
            "psth",
            "Firing rate",
            note="Mean and standard error over trials.",
        )
        + figure("autocorrelogram", "Autocorrelogram", note="Bins of 0.2 ms.")
        + figure("waveform", "Waveform", note="Mean on the channels where it is largest.")
        + figure("amplitudes", "Amplitude over the session", wide=True)
        + "<section><h2>Load exactly this</h2>"
        + code(load + "\nunit = spikes.clusters == CLUSTER", "Python code to load this unit")
        + "</section>"
    )
    files[unit_page] = page(
        settings,
        "unit",
        unit_page,
        f"Units of {title}",
        body,
        data={
            "src": data,
            "folder": f"data/units/{name}/",
        },
        crumbs=[*crumbs, (address, row["name"])],
        synthetic=synthetic,
    )
    for cluster, unit in units.items():
        files[f"data/units/{name}/{cluster}.json"] = encode(unit)
    return files


def load_spikes(settings: Settings, one: Session, collection: str) -> str:
    """Return Python code that loads a probe's sorted spikes with the ONE client."""
    return "\n".join(
        [
            "from one.api import ONE",
            "",
            f'one = ONE(base_url="{settings.api_url}")' if settings.api_url else "one = ONE()",
            f'eid = "{one.id}"  # {one.reference}',
            f'spikes = one.load_object(eid, "spikes", collection="{collection}")',
            f'clusters = one.load_object(eid, "clusters", collection="{collection}")',
        ]
    )


def session(
    settings: Settings,
    one: Session,
    content: dict[str, Any],
    probes: list[dict[str, Any]],
    made_from: dict[str, Any],
) -> dict[str, bytes]:
    """Return the files of a session's page."""
    address, data, image = of_session(one.id)
    about = {
        "id": one.id,
        "lab": one.lab,
        "subject": one.subject,
        "date": one.date,
        "number": one.number,
        "start_time": one.start_time,
        "end_time": one.end_time,
        "task_protocol": one.task_protocol,
        "projects": list(one.projects),
        "location": one.location,
        "synthetic": one.synthetic,
    }
    document = encode({"session": about, **content, "made_from": made_from})
    summary = content.get("summary")
    if summary:
        figures = _session_figures() + _parameter_table(content)
    else:
        figures = "<p>This session has no trials table yet.</p>"
    body = (
        facts(
            [
                ("Protocol", protocol(one.task_protocol)),
                *_figures(content),
            ]
        )
        + figures
        + _probes(probes)
        + "<section><h2>Load exactly this</h2>"
        + code(load_session(settings, one), "Python code to load this session")
        + _downloads([(data, "JSON"), (image, "PNG")] if summary else [(data, "JSON")])
        + "</section>"
        + _provenance(made_from)
    )
    return {
        data: document,
        address: page(
            settings,
            "session",
            address,
            f"{one.subject} · {one.date} · {one.number:03d}",
            body,
            data={"src": data},
            image=image if summary else "",
            description=f"Behaviour of {one.subject} ({one.lab}) on {one.date}",
            crumbs=[
                ("sessions.html", "Sessions"),
                (of_lab(one.lab)[0], one.lab),
                (of_subject(one.subject)[0], one.subject),
            ],
            synthetic="all" if one.synthetic else "",
        ),
    }


def _figures(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a session's key figures as people read them."""
    if not content:
        return []
    summary = content["summary"]
    shift = summary["bias_shift"]
    return [
        ("Trials", f"{summary['n_trials']:,}"),
        ("Correct", percent(summary["performance"])),
        ("Correct on easy", percent(summary["performance_easy"])),
        ("Reaction time", f"{number(summary['median_rt'], 2)} s"),
        ("Bias shift", "" if shift is None else f"{number(shift, 1)} %"),
        ("Duration", f"{number(summary['duration'], 0)} min"),
    ]


def load_session(settings: Settings, one: Session) -> str:
    """Return Python code that loads the very trials a page shows, with the ONE client."""
    lines = [
        "from one.api import ONE",
        "",
        f'one = ONE(base_url="{settings.api_url}")' if settings.api_url else "one = ONE()",
        f'eid = "{one.id}"  # {one.reference}',
    ]
    dataset = one.find(TRIALS)
    if dataset:
        revision = f', revision="{dataset.revision}"' if dataset.revision else ""
        lines += [
            f'trials = one.load_dataset(eid, "{dataset.name}", '
            f'collection="{dataset.collection}"{revision})',
        ]
    return "\n".join(lines)


def subject(
    settings: Settings, about: Subject, content: dict[str, Any], made_from: dict[str, Any]
) -> dict[str, bytes]:
    """Return the files of a subject's page."""
    address, data, trials, image = of_subject(about.nickname)
    row = content["row"]
    document = encode({"subject": vars(about), **content, "made_from": made_from})
    days_to_trained = content["days_to_trained"]
    body = (
        facts(
            [
                ("Lab", row["lab"]),
                ("Status", status_name(content["status"])),
                (
                    "Trained",
                    "" if days_to_trained is None else f"after {days_to_trained} training days",
                ),
                ("Sessions", count(row["n_sessions"])),
                ("Trials", count(row["n_trials"])),
                ("Sex", {"M": "male", "F": "female"}.get(about.sex, about.sex)),
                ("Born", about.birth_date),
                ("Line", about.line),
            ]
        )
        + figure(
            "status",
            "Training status",
            wide=True,
            note="By the rules of the IBL training protocol over the last three days; "
            "a status never falls.",
        )
        + figure("training", "Trials and duration of each session", wide=True)
        + figure(
            "performance",
            "Performance on easy trials and reaction time",
            wide=True,
            note="Easy: contrast of 50 % and more; the line is 80 %. Reaction time: median from "
            "stimulus to response.",
        )
        + figure(
            "heatmap",
            "Choices by day and contrast",
            wide=True,
            note="Fraction of choices to the right; in the biased task, trials of the unbiased "
            "block.",
        )
        + figure(
            "parameters",
            "Psychometric parameters of each day",
            wide=True,
            note="Maximum-likelihood fits; lines are the criteria of status trained 1a.",
        )
        + '<section id="criteria"></section>'
        + '<section id="member" aria-live="polite"></section>'
        + '<section><h2>Sessions</h2><div id="days"></div></section>'
        + "<section><h2>Load exactly this</h2>"
        + code(load_subject(settings, about), "Python code to load these sessions")
        + _downloads([(data, "JSON"), (trials, "All trials as Parquet"), (image, "PNG")])
        + "</section>"
        + f"<details><summary>Made from {len(made_from['inputs'])} sessions with code "
        f"{text(made_from['code'])}</summary></details>"
    )
    return {
        data: document,
        address: page(
            settings,
            "subject",
            address,
            about.nickname,
            body,
            data={"src": data},
            image=image,
            crumbs=[("subjects.html", "Subjects"), (of_lab(row["lab"])[0], row["lab"])],
            description=f"Training of {about.nickname} ({row['lab']})",
            synthetic=how_synthetic(day["synthetic"] for day in content["days"]),
        ),
    }


def load_subject(settings: Settings, about: Subject) -> str:
    """Return Python code that loads all trials of a subject's sessions with the ONE client."""
    return "\n".join(
        [
            "from one.api import ONE",
            "",
            f'one = ONE(base_url="{settings.api_url}")' if settings.api_url else "one = ONE()",
            f'eids = one.search(subject="{about.nickname}", dataset="{TRIALS}")',
            'trials = [one.load_object(eid, "trials", collection="alf") for eid in eids]',
        ]
    )


def status_name(status: str) -> str:
    """Return a status as people write it."""
    names = {
        "ready4ephysrig": "Ready for the ephys rig",
        "ready4delay": "Ready for delay",
        "ready4recording": "Ready for recording",
    }
    return names.get(status, status.capitalize())


def month(name: str, rows: Mapping[str, dict[str, Any]]) -> dict[str, bytes]:
    """Return a month's part of the session list, newest first."""
    ordered = sorted(
        rows.values(), key=lambda r: (r["date"], r["subject"], r["number"]), reverse=True
    )
    return {f"data/list/{name}.json": encode(columns(ordered, SESSION_COLUMNS))}


def indexes(
    settings: Settings, subjects: Mapping[str, dict[str, Any]], labs: Mapping[str, Lab]
) -> dict[str, bytes]:
    """Return the pages that follow from the rows of all subjects."""
    rows = list(subjects.values())
    by_lab: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_lab.setdefault(row["lab"], []).append(row)
    synthetic = how_synthetic(row["synthetic"] for row in rows)
    files = overview(settings, rows, by_lab, labs, synthetic)
    files |= _session_list(settings, rows, synthetic)
    files |= _subject_list(settings, rows, synthetic)
    files |= _lab_list(settings, by_lab, labs, synthetic)
    files |= _daily(settings, rows, synthetic)
    files |= _probe_list(settings, rows)
    for name, of in by_lab.items():
        files |= lab(settings, labs.get(name, Lab(name)), of)
    return files


def overview(
    settings: Settings,
    rows: list[dict[str, Any]],
    by_lab: Mapping[str, list[dict[str, Any]]],
    labs: Mapping[str, Lab],
    synthetic: str,
) -> dict[str, bytes]:
    """Return the front page: how much there is, where and since when, and what is new."""
    months = sorted({month for row in rows for month in row["months"]})
    latest = sorted(rows, key=lambda row: (row["last"], row["subject"]), reverse=True)[:12]
    counts = {
        "labs": len(by_lab),
        "subjects": len(rows),
        "sessions": sum(row["n_sessions"] for row in rows),
        "trials": sum(row["n_trials"] for row in rows),
        "probes": sum(row["n_probes"] for row in rows),
    }
    data = {
        "counts": counts,
        "months": months,
        "by_lab": {
            name: [sum(row["months"].get(month, [0, 0])[0] for row in of) for month in months]
            for name, of in sorted(by_lab.items())
        },
        "labs": [_lab_row(labs.get(name, Lab(name)), of) for name, of in sorted(by_lab.items())],
        "statuses": _statuses(rows),
        "synthetic": synthetic,
    }
    body = (
        '<p class="lead">Mice learn a decision-making task in many laboratories, and everything '
        "measured is here: every session, every subject, open to read and to load.</p>"
        + '<dl class="counts">'
        + "".join(
            f"<div><dt>{name}</dt><dd>{value:,}</dd></div>"
            for name, value in counts.items()
            if value
        )
        + "</dl>"
        + figure("map", "Laboratories")
        + figure("status", "Subjects by training status")
        + figure("growth", "Sessions by month", wide=True)
        + _downloads([(OVERVIEW_DATA, "JSON"), (OVERVIEW_IMAGE, "PNG")])
        + "<section><h2>Latest sessions</h2>"
        + table(
            ["Session", "Subject", "Lab", "Protocol", "Easy trials correct"],
            [
                (
                    Link(of_session(row["last_session"])[0], row["last"]),
                    Link(of_subject(row["subject"])[0], row["subject"]),
                    Link(of_lab(row["lab"])[0], row["lab"]),
                    row["last_protocol"],
                    percent(row["performance_easy"]),
                )
                for row in latest
            ],
            "The latest session of the subjects trained last",
        )
        + "</section>"
    )
    return {
        OVERVIEW_DATA: encode(data),
        "index.html": page(
            settings,
            "overview",
            "index.html",
            "Results",
            body,
            data={"src": OVERVIEW_DATA, "land": "assets/land.json"},
            image=OVERVIEW_IMAGE,
            map_=True,
            synthetic=synthetic,
        ),
    }


def lab(settings: Settings, about: Lab, rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the files of a lab's page."""
    address, data, image = of_lab(about.name)
    months = sorted({month for row in rows for month in row["months"]})
    synthetic = how_synthetic(row["synthetic"] for row in rows)
    content = {
        "lab": vars(about),
        "months": months,
        "n_sessions": [
            sum(row["months"].get(month, [0, 0])[0] for row in rows) for month in months
        ],
        "n_trials": [sum(row["months"].get(month, [0, 0])[1] for row in rows) for month in months],
        "statuses": _statuses(rows),
        "synthetic": synthetic,
        "subjects": columns(
            sorted(rows, key=lambda row: (row["last"], row["subject"]), reverse=True),
            SUBJECT_COLUMNS,
        ),
    }
    body = (
        facts(
            [
                ("Institution", about.institution),
                ("Time zone", about.timezone),
                ("Subjects", count(len(rows))),
                ("Sessions", count(sum(row["n_sessions"] for row in rows))),
                ("Trials", count(sum(row["n_trials"] for row in rows))),
                ("Latest session", max(row["last"] for row in rows)),
            ]
        )
        + figure("growth", "Sessions by month")
        + figure("status", "Subjects by training status")
        + figure(
            "learning",
            "Learning of each subject",
            wide=True,
            note="Correct on easy trials in the last 30 sessions of each subject; "
            "the line is 80 %.",
        )
        + '<section><h2>Subjects</h2><div id="list"></div></section>'
        + _downloads([(data, "JSON"), (image, "PNG")])
    )
    return {
        data: encode(content),
        address: page(
            settings,
            "lab",
            address,
            about.name,
            body,
            data={"src": data},
            image=image,
            crumbs=[("labs.html", "Labs")],
            description=f"Subjects and sessions of {about.name}",
            synthetic=synthetic,
        ),
    }


def _session_list(
    settings: Settings, rows: list[dict[str, Any]], synthetic: str
) -> dict[str, bytes]:
    months: dict[str, int] = {}
    for row in rows:
        for name, (n, _) in row["months"].items():
            months[name] = months.get(name, 0) + n
    parts = [[name, months[name]] for name in sorted(months, reverse=True)]
    body = '<div id="list" data-kind="sessions"></div>'
    return {
        "data/list/index.json": encode({"n": sum(months.values()), "parts": parts}),
        "sessions.html": page(
            settings,
            "list",
            "sessions.html",
            "Sessions",
            body,
            data={"src": "data/list/index.json"},
            plots=False,
            synthetic=synthetic,
        ),
    }


def _subject_list(
    settings: Settings, rows: list[dict[str, Any]], synthetic: str
) -> dict[str, bytes]:
    ordered = sorted(rows, key=lambda row: (row["last"], row["subject"]), reverse=True)
    return {
        "data/subjects.json": encode(columns(ordered, SUBJECT_COLUMNS)),
        "subjects.html": page(
            settings,
            "list",
            "subjects.html",
            "Subjects",
            '<div id="list" data-kind="subjects"></div>',
            data={"src": "data/subjects.json"},
            plots=False,
            synthetic=synthetic,
        ),
    }


def _probe_list(settings: Settings, rows: list[dict[str, Any]]) -> dict[str, bytes]:
    probes = sorted(
        (probe for row in rows for probe in row["probes"]),
        key=lambda probe: (probe["date"], probe["id"]),
        reverse=True,
    )
    return {
        "data/probes.json": encode(columns(probes, PROBE_COLUMNS)),
        "probes.html": page(
            settings,
            "list",
            "probes.html",
            "Probes",
            '<div id="list" data-kind="probes"></div>',
            data={"src": "data/probes.json"},
            plots=False,
            synthetic=how_synthetic(probe["synthetic"] for probe in probes),
        ),
    }


def _lab_list(
    settings: Settings,
    by_lab: Mapping[str, list[dict[str, Any]]],
    labs: Mapping[str, Lab],
    synthetic: str,
) -> dict[str, bytes]:
    rows = [_lab_row(labs.get(name, Lab(name)), of) for name, of in sorted(by_lab.items())]
    body = table(
        ["Lab", "Institution", "Subjects", "Sessions", "Trials", "First session", "Latest"],
        [
            (
                Link(of_lab(row["name"])[0], row["name"]),
                row["institution"],
                count(row["n_subjects"]),
                count(row["n_sessions"]),
                count(row["n_trials"]),
                row["first"],
                row["last"],
            )
            for row in rows
        ],
        "All laboratories with public sessions",
    )
    return {
        "labs.html": page(
            settings, "plain", "labs.html", "Labs", body, plots=False, synthetic=synthetic
        )
    }


def _daily(settings: Settings, rows: list[dict[str, Any]], synthetic: str) -> dict[str, bytes]:
    data = columns(
        sorted(rows, key=lambda row: (row["last"], row["lab"], row["subject"]), reverse=True),
        (*SUBJECT_COLUMNS, "last_session", "recent_dates"),
    )
    return {
        "data/daily.json": encode(data),
        "daily.html": page(
            settings,
            "daily",
            "daily.html",
            "Daily summary",
            '<p class="lead">Where every subject stands: its latest session, protocol and '
            'status.</p><div id="week"></div><div id="list" data-kind="daily"></div>',
            data={"src": "data/daily.json"},
            plots=False,
            synthetic=synthetic,
        ),
    }


def _lab_row(about: Lab, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": about.name,
        "institution": about.institution,
        "latitude": about.latitude,
        "longitude": about.longitude,
        "n_subjects": len(rows),
        "n_sessions": sum(row["n_sessions"] for row in rows),
        "n_trials": sum(row["n_trials"] for row in rows),
        "first": min(row["first"] for row in rows),
        "last": max(row["last"] for row in rows),
    }


def _statuses(rows: list[dict[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        if row["status"]:
            counts[row["status"]] = counts.get(row["status"], 0) + 1
    return counts


def _session_figures() -> str:
    return (
        '<div id="blocks" class="legend"></div>'
        + figure(
            "psychometric",
            "Choices",
            note="Fraction of rightward choices, 96.8 % interval, maximum-likelihood fit.",
        )
        + figure(
            "chronometric",
            "Reaction times",
            note="Median from stimulus to response, 68 % bootstrap interval.",
        )
        + figure(
            "timeline",
            "Trial by trial",
            wide=True,
            note="Reaction time of every trial with its rolling median over ten trials, "
            "fraction correct over thirty, and the probability of a stimulus on the left.",
        )
    )


def _probes(probes: list[dict[str, Any]]) -> str:
    if not probes:
        return ""
    rows = [
        (
            Link(f"{ROOT}probes/{safe_name(row['id'])}.html", row["name"]),
            count(row["n_units"]),
            count(row["n_good"]),
            count(row["n_spikes"]),
        )
        for row in probes
    ]
    return table(["Probe", "Units", "Good units", "Spikes"], rows, "Probes of this session")


def _parameter_table(content: dict[str, Any]) -> str:
    rows = []
    for block in content["blocks"]:
        plot = block["psychometric"]
        fit = plot["fit"]
        alone = len(content["blocks"]) == 1
        rows.append(
            (
                "All trials" if alone else f"P(left) = {block['probability_left']}",
                count(sum(plot["n"])),
                number(fit["bias"], 1),
                number(fit["threshold"], 1),
                number(fit["lapse_low"], 3),
                number(fit["lapse_high"], 3),
            )
        )
    return table(
        ["Block", "Trials", "Bias (%)", "Threshold (%)", "Lapse left", "Lapse right"],
        rows,
        "Psychometric parameters, contrast in percent",
    )


def _downloads(files: list[tuple[str, str]]) -> str:
    items = "".join(f"<li>{link(ROOT + key, label)}</li>" for key, label in files)
    return f'<ul class="downloads" aria-label="Files behind this page">{items}</ul>'


def _provenance(made_from: dict[str, Any]) -> str:
    inputs = "".join(
        f"<li><code>{text(item['path'])}</code> <small>{text(item['id'])}</small></li>"
        for item in made_from["inputs"]
    )
    return (
        f"<details><summary>Made from {len(made_from['inputs'])} datasets with code "
        f"{text(made_from['code'])}</summary><ul>{inputs}</ul></details>"
    )


def count(value: int) -> Quantity:
    """Return a whole number with its thousands apart."""
    return Quantity(f"{value:,}")


def number(value: float | None, decimals: int) -> Quantity:
    """Return a number with fixed decimals, a dash where there is none."""
    return Quantity("–" if value is None else f"{value:.{decimals}f}".replace("-", "−"))


def percent(value: float | None) -> Quantity:
    """Return a fraction as percent, a dash where there is none."""
    return Quantity("–" if value is None else f"{100 * value:.0f} %")
