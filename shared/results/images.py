"""Pictures for sharing: one PNG per session, subject and lab and one of all, by matplotlib.

Axes, ticks and labels are the same in all pictures of sessions, so a process draws them once and
then only the data.
"""

from __future__ import annotations

import io
from datetime import date
from functools import cache
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from shared.model.identity import nickname_of
from shared.results.views.lab import LabData
from shared.results.views.overview import OverviewData
from shared.results.views.session import SessionData
from shared.results.views.subject import SubjectData
from shared.science.status.stages import RANK

COLOURS = {0.2: "#c4570c", 0.5: "#66727d", 0.8: "#1f68ad"}
"""Colours of the blocks of the biased task, as in the site's style sheet."""

INK, MUTED, RULE, PAPER = "#1c2329", "#58646f", "#dfe3e6", "#fdfdfc"
SIZE = (10.0, 5.0)
DPI = 100
MARK = "synthetic data"


def session(content: SessionData) -> bytes:
    """Return the picture of a session: choices and reaction times by contrast and block.

    Parameters
    ----------
    content : struct
        The data of the session's page, with `summary` and `blocks`.

    Raises
    ------
    ValueError
        The session has no behaviour.
    """
    about, summary = content.session, content.summary
    if summary is None or content.blocks is None:
        raise ValueError(f"session {about.id} has no behaviour to draw")
    figure, choices, times, background = _frame()
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # noqa: S101 - _frame made it
    canvas.restore_region(background)
    artists: list[tuple[Any, Any]] = []
    for block in content.blocks:
        colour = COLOURS[block.probability_left]
        points = block.psychometric
        curve = points.curve
        if curve.y:  # a fit that determines nothing has no curve
            artists.append((choices, choices.plot(curve.x, curve.y, color=colour, lw=1.8)[0]))
        artists += _points(
            choices, points.contrasts, points.p_right, points.low, points.high, colour
        )
        speed = block.chronometric
        # Reaction times beyond the axis are drawn at its edge.
        middle, low, high = (
            np.clip(np.array(getattr(speed, name), float), 0.1, 10)
            for name in ("median", "low", "high")
        )
        artists += [
            (times, times.plot(speed.contrasts, middle, color=colour, lw=1.2)[0]),
            *_points(times, speed.contrasts, middle, low, high, colour),
        ]
    title = f"{nickname_of(about.subject)} · {about.date} · {about.number:03d}"
    said = f"{about.lab}, {summary.n_trials:,} trials"
    if summary.performance_easy is not None:
        said += f", {summary.performance_easy:.0%} correct on easy ones"
    if about.synthetic:
        said += f" · {MARK}"
    artists += [
        (choices, figure.text(0.07, 0.93, title, size=15, weight="bold", color=INK)),
        (choices, figure.text(0.07, 0.875, said, size=10, color=MUTED)),
    ]
    for axes, artist in artists:
        axes.draw_artist(artist)
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    for _, artist in artists:
        artist.remove()
    return _png(picture)


def subject(content: SubjectData) -> bytes:
    """Return the picture of a subject: performance and choices day by day.

    Parameters
    ----------
    content : struct
        The data of the subject's page.
    """
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    top, bottom = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"left": 0.09, "right": 0.97, "top": 0.82, "bottom": 0.12}
    )
    days = content.days
    at = np.array([date.fromisoformat(day.date).toordinal() for day in days]) + 0.5
    first = int(at[0])
    easy = np.array([day.performance_easy for day in days], float)
    top.axhline(0.8, color=MUTED, lw=0.8, ls=(0, (4, 3)))
    top.plot(at - first, easy, color=COLOURS[0.8], lw=1.5, marker="o", ms=3.5)
    top.set(ylim=(0, 1.03), yticks=(0, 0.5, 0.8, 1))
    top.set_yticklabels(["0", "50 %", "80 %", "100 %"])
    top.set_ylabel("Easy trials correct")
    map_ = content.heatmap
    levels = map_.contrasts
    grid = np.full((len(levels), int(at[-1] - at[0]) + 1), np.nan)
    for row, values in enumerate(map_.p_right):
        for day, value in zip(map_.dates, values, strict=True):
            if value is not None:
                grid[row, date.fromisoformat(day).toordinal() - first] = value
    if levels:
        bottom.imshow(
            grid,
            aspect="auto",
            origin="lower",
            extent=(0, grid.shape[1], -0.5, len(levels) - 0.5),
            cmap=_diverging(),
            vmin=0,
            vmax=1,
            interpolation="nearest",
        )
        bottom.set_yticks(range(0, len(levels), max(1, len(levels) // 4)))
        bottom.set_yticklabels([f"{levels[i]:g}" for i in bottom.get_yticks().astype(int)])
    bottom.set(ylabel="Contrast (%)", xlabel=f"Days since {days[0].date}")
    for axes in (top, bottom):
        _quiet(axes)
    said = f"{content.row.lab}, {len(days)} sessions"
    if content.status:
        said += f", {content.status}"
    if content.row.synthetic:
        said += f" · {MARK}"
    figure.text(
        0.07, 0.93, nickname_of(content.subject.nickname), size=15, weight="bold", color=INK
    )
    figure.text(0.07, 0.875, said, size=10, color=MUTED)
    canvas.draw()
    return _png(np.asarray(canvas.buffer_rgba())[..., :3])


def overview(content: OverviewData) -> bytes:
    """Return the picture of all labs together.

    Parameters
    ----------
    content : struct
        The data of the front page.
    """
    n_sessions = np.sum([*content.by_lab.values()], axis=0).tolist()
    counts = content.counts
    said = ", ".join(f"{counts[name]:,} {name}" for name in ("labs", "subjects", "sessions"))
    return _growth("All laboratories", said, content, n_sessions)


def lab(content: LabData) -> bytes:
    """Return the picture of a lab: its sessions by month and its subjects by status.

    Parameters
    ----------
    content : struct
        The data of the lab's page.
    """
    n_sessions = content.n_sessions
    said = f"{content.subjects.n:,} subjects, {sum(n_sessions):,} sessions"
    return _growth(content.lab.name, said, content, n_sessions)


def _growth(
    title: str, said: str, content: OverviewData | LabData, n_sessions: list[int]
) -> bytes:
    """Draw sessions by month, and subjects by training status."""
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    growth, standing = figure.subplots(
        1,
        2,
        gridspec_kw={
            "left": 0.07,
            "right": 0.94,
            "top": 0.8,
            "bottom": 0.1,
            "wspace": 0.55,
            "width_ratios": (3, 2),
        },
    )
    months = [date.fromisoformat(f"{month}-01") for month in content.months]
    at = [12 * month.year + month.month - 1 for month in months]
    growth.bar(at, n_sessions, width=0.9, color=COLOURS[0.8])
    ticks = np.unique(np.linspace(min(at), max(at), 5).round().astype(int))
    growth.set_xticks(ticks, [f"{tick // 12}-{tick % 12 + 1:02d}" for tick in ticks])
    growth.set(ylabel="Sessions", xlim=(min(at) - 1, max(at) + 1))
    growth.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    statuses = [status for status in reversed(RANK) if content.statuses.get(status)]
    numbers = [content.statuses[status] for status in statuses]
    bars = standing.barh([status.replace("_", " ") for status in statuses], numbers, color=MUTED)
    standing.bar_label(bars, padding=4, color=INK, fontsize=9)
    standing.set(xticks=())
    for axes in (growth, standing):
        _quiet(axes)
    standing.spines["bottom"].set_visible(False)
    if content.synthetic:
        said += f" · {'' if content.synthetic == 'all' else 'some '}{MARK}"
    figure.text(0.07, 0.93, title, size=15, weight="bold", color=INK)
    figure.text(0.07, 0.875, said, size=10, color=MUTED)
    canvas.draw()
    return _png(np.asarray(canvas.buffer_rgba())[..., :3])


@cache
def _frame() -> tuple[Figure, Any, Any, Any]:
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    choices, times = figure.subplots(
        1, 2, gridspec_kw={"left": 0.07, "right": 0.98, "top": 0.8, "bottom": 0.13, "wspace": 0.2}
    )
    choices.axhline(0.5, color=RULE, lw=0.8)
    choices.set(ylim=(-0.02, 1.02), yticks=(0, 0.5, 1), ylabel="Choices to the right")
    times.set(ylim=(0.1, 10), yscale="log", ylabel="Reaction time (s)")
    times.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    for axes in (choices, times):
        axes.axvline(0, color=RULE, lw=0.8)
        axes.set(xlim=(-105, 105), xticks=(-100, -50, 0, 50, 100), xlabel="Contrast (%)")
        _quiet(axes)
    canvas.draw()
    return figure, choices, times, canvas.copy_from_bbox(figure.bbox)


def _quiet(axes: Any) -> None:
    axes.set_facecolor(PAPER)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=9)
    axes.xaxis.label.set(color=MUTED, size=10)
    axes.yaxis.label.set(color=MUTED, size=10)


def _points(axes: Any, x: Any, y: Any, low: Any, high: Any, colour: str) -> list[tuple[Any, Any]]:
    x, y, low, high = (np.array(values, float) for values in (x, y, low, high))
    bars = LineCollection(
        [((at, a), (at, b)) for at, a, b in zip(x, low, high, strict=True)],
        colors=colour,
        linewidths=1,
    )
    axes.add_collection(bars, autolim=False)
    (dots,) = axes.plot(x, y, "o", color=colour, ms=5, mec=PAPER, mew=0.8)
    return [(axes, bars), (axes, dots)]


@cache
def _diverging() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#11508f", "#86b3da", "#f3f2ee", "#eaaa78", "#a84204"]
    return LinearSegmentedColormap.from_list("choices", stops)


def _png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(picture).quantize(48, method=Image.Quantize.FASTOCTREE)
    image.save(out, "PNG", compress_level=6)
    return out.getvalue()
