"""Explanations in words of the numbers of a day."""

from __future__ import annotations

from typing import Any

from shared.science.water.control import WATER_FRACTION_LIGHT, WaterControl
from shared.science.water.records import Moment


def explain(control: WaterControl, d: Moment) -> list[dict[str, Any]]:
    """Return explanations of the numbers of a day, each after those that it uses.

    Returns
    -------
    list of dict
        `quantity`, `value`, `unit` and `how`, a sentence with the numbers filled in.
    """
    implant, weight = control.implant_weight(d), control.weight(d)
    reference, expected = control.reference_weighing(d), control.expected_weight(d)
    restriction = control.restriction_at(d)
    steps: list[tuple[str, Any, str, str]] = []
    last = control.last_weighing(d)
    steps.append(
        (
            "weight",
            weight,
            "g",
            f"weighed {last[0]:%Y-%m-%d %H:%M}" if last else "never weighed by that day",
        )
    )
    steps.append(("implant weight", implant, "g", "of the latest surgery with an implant"))
    steps.append(
        (
            "water restriction",
            restriction is not None,
            "",
            f"since {restriction.start:%Y-%m-%d %H:%M}" if restriction else "none that day",
        )
    )
    if reference:
        when, value = reference
        reference_implant = control.reference_implant_weight(d)
        steps.append(
            (
                "reference weight",
                control.reference_weight(d),
                "g",
                f"{value:g} g of {when:%Y-%m-%d} − implant {reference_implant:g} g",
            )
        )
    else:
        steps.append(("reference weight", 0.0, "g", "none: not under restriction"))
    if reference and control.birth_date:
        (m0, s0), (m1, s1) = control.growth(reference[0]), control.growth(d)
        z = (control.reference_weight(d) - m0) / s0
        how = f"z = (reference − {m0:g}) / {s0:g} = {z:.2f}; now {m1:g} + {z:.2f} · {s1:g}"
    else:
        how = "unknown: needs a reference weight and a birth date"
    steps.append(("z-score weight", control.zscore_weight(d), "g", how))
    p, r, zp = control.fraction, control.reference_weight_pct, control.zscore_weight_pct
    if p:
        how = f"({zp:g} · z-score + {r:g} · reference) / {p:g} + implant {implant:g} g"
    else:
        how = "the lab gives no weight to either expectation"
    steps.append(("expected weight", expected, "g", how))
    steps.append(
        (
            "percentage of expected",
            control.percentage_weight(d),
            "%",
            f"({weight:g} − {implant:g}) / ({expected:.2f} − {implant:g})"
            if expected > implant
            else "unknown: no expected weight",
        )
    )
    steps.append(
        (
            "minimum weight",
            control.min_weight(d),
            "g",
            f"{zp:g} · z-score + {r:g} · reference + implant {implant:g} g",
        )
    )
    k = control.water_fraction(d)
    steps.append(
        (
            "water due",
            control.expected_water(d),
            "ml",
            f"{k:g} ml/g · ({weight:g} − {implant:g}) g, "
            + ("below" if k == WATER_FRACTION_LIGHT else "not below")
            + f" {p:.0%} of the expected weight",
        )
    )
    steps.append(
        (
            "water given",
            control.given_water(d),
            "ml",
            f"{control.given_water(d, True):g} in sessions"
            f" + {control.given_water(d, False):g} more",
        )
    )
    steps.append(("excess water", control.excess_water(d), "ml", "given − due"))
    return [
        {"quantity": quantity, "value": value, "unit": unit, "how": how}
        for quantity, value, unit, how in steps
    ]
