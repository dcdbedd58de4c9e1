"""The pages that are text: how to get the data, about the site, and the page that is missing."""

from __future__ import annotations

from shared.results.html import Settings, code, link, page, table


def texts(settings: Settings) -> dict[str, bytes]:
    """Return the site's pages that follow from its settings alone."""
    return {
        "data.html": page(
            settings, "plain", "data.html", "Get the data", _data(settings), plots=False
        ),
        "about.html": page(settings, "plain", "about.html", "About", _about(), plots=False),
        "404.html": page(
            settings,
            "plain",
            "404.html",
            "There is no such page",
            "<p>The session may have been withdrawn, or the address is not complete. Try the "
            + link("/sessions.html", "list of sessions")
            + ".</p>",
            plots=False,
            absolute=True,
        ),
    }


def _data(settings: Settings) -> str:
    server = settings.api_url or "https://…"
    return (
        '<div class="prose"><p class="lead">Everything shown here can be loaded with the '
        "ONE client, unmodified, or read as files.</p>"
        "<h2>1. Install and connect</h2></div>"
        + code("pip install ONE-api", "Command to install the ONE client")
        + code(
            "from one.api import ONE\n\n"
            f'one = ONE(base_url="{server}")  # asks once for user name and password',
            "Python code to connect",
        )
        + '<div class="prose"><h2>2. Search and load</h2>'
        "<p>Each session page shows the code for exactly that session. In general:</p></div>"
        + code(
            'eids = one.search(lab="…", date_range=["2025-01-01", "2025-12-31"])\n'
            'trials = one.load_object(eids[0], "trials", collection="alf")\n'
            'wheel = one.load_object(eids[0], "wheel", collection="alf")\n'
            'spikes = one.load_object(eids[0], "spikes", collection="alf/probe00")',
            "Python code to search and load",
        )
        + '<div class="prose"><h2>3. Or take the files</h2>'
        "<p>What the pages draw is beside them, and each file says what it was made from.</p>"
        "</div>"
        + table(
            ["Address", "Content"],
            [
                ("data/sessions/ID.json", "What a session's page shows, trial by trial"),
                ("data/subjects/NAME.json", "A subject's days, status and criteria"),
                ("data/subjects/NAME.trials.pqt", "All trials of a subject, one Parquet table"),
                ("data/probes/ID.json", "What a probe's page shows: units and their quality"),
                ("data/sessions.pqt", "All public sessions, one row each"),
                ("data/subjects.pqt", "All public subjects, one row each"),
                ("data/training-time/COHORT.json", "Result of the training-time analysis"),
            ],
            "Files of this site",
        )
        + code(
            "import pandas as pd\n\n"
            'site = "https://…"  # the address of this page, without data.html\n'
            'sessions = pd.read_parquet(f"{site}/data/sessions.pqt")\n'
            'trials = pd.read_parquet(f"{site}/data/subjects/NAME.trials.pqt")',
            "Python code to read the files",
        )
        + '<div class="prose"><h2>Conventions</h2><p>Contrast is signed, negative on the left, '
        "in percent. Choice −1 is a report to the right, +1 to the left, 0 none. Reaction time "
        "runs from stimulus onset to response. Times are seconds from the start of the session "
        "unless said otherwise.</p></div>"
    )


def _about() -> str:
    licences = table(
        ["What", "Licence"],
        [
            ("Observable Plot, D3, TopoJSON client", "ISC"),
            ("Outline of the land: Natural Earth, world-atlas", "public domain, ISC"),
            ("Inter, the typeface", "SIL Open Font License 1.1"),
        ],
        "Made with",
    )
    return (
        '<div class="prose"><p class="lead">A static site of behaviour and recordings, rebuilt '
        "session by session as the data come in.</p>"
        "<h2>What you see</h2><p>When all tasks of a session are done, its page, its subject's "
        "and its laboratory's are brought up to date; each night everything is checked again. "
        "A page names the datasets it was made from and the version of the code.</p>"
        "<h2>What you do not see</h2><p>Only sessions marked public, and only after their "
        "embargo. Weights, water and predictions of training are for members of the "
        "laboratories, who sign in on the page of a subject; they never reach this site's "
        "files.</p>"
        "<h2>Definitions</h2><p>Training status follows the IBL training protocol (appendix 2 of "
        "the behaviour paper, International Brain Laboratory et al. 2021), judged over the last "
        "three days. Psychometric curves are error functions with two lapse rates, fitted by "
        "maximum likelihood. Intervals of fractions are normal at α = 0.032, those of medians "
        "bootstrap intervals of 68 %.</p>"
        "<h2>Accessibility</h2><p>Every figure has its numbers as a table below it. The site "
        "works with a keyboard, in light and dark, on a phone, and asks nothing of other "
        "hosts.</p></div>" + licences
    )
