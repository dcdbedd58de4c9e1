"""The four panels of the training-time analysis, drawn like the paper's figure."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from shared.results.images import INK, MUTED, PAPER, RULE

FULL, CHANGE, SHUFFLED = "#12606b", "#1f68ad", "#9aa5ae"


def draw(result: dict[str, Any], kind: str = "png") -> bytes:
    """Return the figure of a cohort.

    Parameters
    ----------
    result : dict
        From :func:`shared.science.cohort.analysis.analyse`.
    kind : {'png', 'svg', 'pdf'}
    """
    figure = Figure(figsize=(9, 7), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, gridspec_kw={"hspace": 0.42, "wspace": 0.42, "left": 0.1})
    for axes, panel, letter in zip(
        panels.flat, (_histogram, _confusion, _scores, _importance), "abcd", strict=True
    ):
        panel(axes, result)
        axes.set_title(letter, loc="left", weight="bold", color=INK, x=-0.16)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(MUTED)
        axes.tick_params(colors=MUTED, labelsize=8)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=INK, size=9)
    said = f"{result['cohort']['n_used']} mice, {len(result['cohort']['features_used'])} features"
    if result["synthetic"]:
        said += " · synthetic data"
    figure.suptitle(said, size=9, color=MUTED, x=0.98, ha="right")
    out = io.BytesIO()
    # A fixed salt and no date: the same result is the same file.
    with _reproducible():
        figure.savefig(
            out, format=kind, facecolor=PAPER, metadata={"Date": None} if kind == "svg" else None
        )
    return out.getvalue()


def _reproducible() -> Any:
    import matplotlib

    return matplotlib.rc_context({"svg.hashsalt": "fornix"})


def _histogram(axes: Any, result: dict[str, Any]) -> None:
    histogram = result["cohort"]["training_time"]["histogram"]
    axes.stairs(histogram["counts"], histogram["edges"], fill=True, color=FULL, alpha=0.85)
    for edge in result["quartiles"]["edges"]:
        axes.axvline(edge, color=INK, lw=1, ls=(0, (4, 3)))
    axes.set(xlabel="Training time (days)", ylabel="Mice")


def _confusion(axes: Any, result: dict[str, Any]) -> None:
    shares = np.array(result["full"]["confusion"])
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(0.7, shares.max()))
    for row in range(4):
        for column in range(4):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{share:.2f}",
                ha="center",
                va="center",
                size=9,
                color="white" if share > 0.4 else INK,
            )
    names = result["quartiles"]["names"]
    axes.set_xticks(range(4), names)
    axes.set_yticks(range(4), names)
    axes.set(xlabel="Predicted quartile", ylabel="True quartile")


def _scores(axes: Any, result: dict[str, Any]) -> None:
    groups = [("All features", FULL, result["full"]["f1"], result["repeated"]["full"])]
    change = result["performance_change_only"]
    if change:
        repeated = result["repeated"]["performance_change_only"]
        groups.append(("Performance\nchange only", CHANGE, change["f1"], repeated))
    for at, (_, colour, score, repeated) in enumerate(groups):
        axes.bar(at, score, color=colour, width=0.6)
        axes.plot([at, at], [repeated["low"], repeated["high"]], color=INK, lw=1.2)
    values = np.array(result["shuffled"]["values"])
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, values.size)
    axes.plot(len(groups) + spread, values, "o", color=SHUFFLED, ms=2.5)
    axes.axhline(0.25, color=RULE, lw=0.8)
    names = [name for name, *_ in groups]
    axes.set_xticks(range(len(groups) + 1), [*names, "Shuffled\nlabels"])
    axes.set(ylabel="F1", ylim=(0, max(0.6, result["full"]["f1"] + 0.1)))


def _importance(axes: Any, result: dict[str, Any]) -> None:
    shown = result["importance"][:10][::-1]
    axes.boxplot(
        [one["values"] for one in shown],
        orientation="horizontal",
        widths=0.6,
        patch_artist=True,
        boxprops={"facecolor": FULL, "alpha": 0.8, "lw": 0.6},
        medianprops={"color": PAPER},
        flierprops={"markersize": 2},
    )
    axes.set_yticklabels([one["feature"] for one in shown])
    axes.axvline(0, color=RULE, lw=0.8)
    axes.set(xlabel="Drop of F1 when permuted")
