"""The four panels of the training-time analysis, drawn like the paper's figure."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

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
    figure = Figure(figsize=(9.6, 8), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        2, 2, gridspec_kw={"hspace": 0.42, "wspace": 0.42, "left": 0.09, "right": 0.98}
    )
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
    # A fixed salt and no date: the same result gives the same file.
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
    """Draw each classifier's repeated scores beside those of shuffled labels, as boxes."""
    groups = [("All features", FULL, result["repeated"]["full"], result["shuffled"])]
    if result["performance_change_only"]:
        groups.append(
            (
                "Performance\nchange only",
                CHANGE,
                result["repeated"]["performance_change_only"],
                result["shuffled_performance_change"],
            )
        )
    for at, (_, colour, repeated, shuffled) in enumerate(groups):
        for place, fill, spread in ((at - 0.2, colour, repeated), (at + 0.2, SHUFFLED, shuffled)):
            axes.boxplot(
                spread["values"],
                positions=[place],
                widths=0.32,
                patch_artist=True,
                boxprops={"facecolor": fill, "lw": 0.6},
                medianprops={"color": PAPER},
                flierprops={"markersize": 2},
            )
    axes.axhline(0.25, color=RULE, lw=0.8)
    axes.set_xticks(range(len(groups)), [name for name, *_ in groups])
    axes.set(
        ylabel="F1",
        xlim=(-0.6, len(groups) - 0.4),
        ylim=(0, max(0.6, result["full"]["f1"] + 0.1)),
    )
    axes.legend(
        handles=[Patch(color=FULL), Patch(color=SHUFFLED)],
        labels=["labels as they are", "shuffled"],
        fontsize=7,
        frameon=False,
        loc="upper right",
    )


def _importance(axes: Any, result: dict[str, Any]) -> None:
    labels = {feature["name"]: feature["label"] for feature in result["features"]}
    features = result["importance"][::-1]
    axes.boxplot(
        [feature["values"] for feature in features],
        orientation="horizontal",
        widths=0.6,
        patch_artist=True,
        boxprops={"facecolor": FULL, "alpha": 0.8, "lw": 0.6},
        medianprops={"color": PAPER},
        flierprops={"markersize": 2},
    )
    axes.set_yticklabels([labels[feature["feature"]] for feature in features], fontsize=7)
    axes.axvline(0, color=RULE, lw=0.8)
    axes.set(xlabel="Drop of F1 when permuted")
