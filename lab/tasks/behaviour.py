"""The tasks of a behaviour session."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts

if TYPE_CHECKING:
    from shared.science.behaviour.main_clock import OnMainClock
    from shared.science.behaviour.quality import Quality

log = logging.getLogger(__name__)


def trials(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Extract the trials and judge them; a damaged wheel does not prevent it."""
    from shared.science.behaviour.facts import session_facts
    from shared.science.behaviour.quality import quality_of
    from shared.science.behaviour.trials import extract, save

    extracted = extract(session, arguments["collection"])
    files = extracted.files()
    table: Any = files["_ibl_trials.table.pqt"]
    quality = _judged(
        lambda: quality_of(
            extracted.task, extracted.trials, extracted.wheel, extracted.first_movements
        ),
        arguments,
    )
    facts = RunFacts(**session_facts(table, extracted.task.settings), extended_qc=quality)
    return Outputs(save(files, out / arguments["output_collection"]), facts)


def trials_nidq(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Extract the trials on the main clock, and judge them by the board's recording.

    Raises
    ------
    ExtractionError
        Raw files are incomplete, or the pulses are not those of the trials.
    """
    from shared.science.behaviour.facts import session_facts
    from shared.science.behaviour.main_extraction import extract_on_main_clock
    from shared.science.behaviour.quality import quality_of
    from shared.science.behaviour.trials import save

    extracted = extract_on_main_clock(
        session, arguments["collection"], arguments["sync_collection"]
    )
    files = extracted.files()
    table: Any = files["_ibl_trials.table.pqt"]
    quality = _judged(
        lambda: quality_of(
            extracted.task,
            extracted.trials,
            extracted.wheel,
            extracted.first_movements,
            extracted.board,
        ),
        arguments,
    )
    if extracted.clock is not None:
        quality |= _clock_told(extracted.clock, namespace_of(arguments["output_collection"]))
    facts = RunFacts(**session_facts(table, extracted.task.settings), extended_qc=quality)
    return Outputs(save(files, out / arguments["output_collection"]), facts)


def _clock_told(clock: OnMainClock, namespace: str) -> dict[str, float]:
    """Return how the clocks were matched: drift (ppm), departure from it (ms), missing pulses."""
    return {
        f"_sync_{namespace}_drift_ppm": round(clock.matched.drift, 3),
        f"_sync_{namespace}_residual_ms": round(clock.matched.residual * 1e3, 4),
        f"_sync_{namespace}_missing_pulses": float(clock.n_missing),
    }


def wheel_nidq(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Extract the wheel's position and movements from the encoder's lines on the main clock."""
    from shared.science.behaviour.main_extraction import extract_on_main_clock, wheel_files
    from shared.science.behaviour.trials import save

    extracted = extract_on_main_clock(
        session, arguments["collection"], arguments["sync_collection"]
    )
    return save(wheel_files(extracted), out / arguments["output_collection"])


def habituation(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Extract the trials of habituation and judge them."""
    from shared.science.behaviour.habituation import compute_habituation, saved
    from shared.science.behaviour.quality import quality_of_habituation
    from shared.science.behaviour.raw_task import read_task
    from shared.science.behaviour.trials import save

    task = read_task(session, arguments["collection"])
    extracted = compute_habituation(task)
    quality = _judged(lambda: quality_of_habituation(task, extracted), arguments)
    facts = RunFacts(n_trials=len(extracted["feedbackType"]), extended_qc=quality)
    return Outputs(save(saved(extracted), out / arguments["output_collection"]), facts)


def habituation_nidq(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Extract the trials of habituation on the main clock, and judge them.

    Raises
    ------
    ExtractionError
        Raw files are incomplete, or the pulses are not those of the trials.
    """
    from shared.science.behaviour.habituation import compute_habituation, saved
    from shared.science.behaviour.main_extraction import pulses_of_protocol
    from shared.science.behaviour.main_habituation import habituation_on_main_clock
    from shared.science.behaviour.quality import quality_of_habituation
    from shared.science.behaviour.raw_task import read_task
    from shared.science.behaviour.trials import save

    collection, output = arguments["collection"], arguments["output_collection"]
    task = read_task(session, collection)
    recorded = pulses_of_protocol(session, collection, arguments["sync_collection"])
    clock = habituation_on_main_clock(compute_habituation(task), recorded.pulses, recorded.wiring)
    extracted = clock.trials
    quality = _judged(lambda: quality_of_habituation(task, extracted), arguments)
    quality |= _clock_told(clock, namespace_of(output))
    facts = RunFacts(n_trials=len(extracted["feedbackType"]), extended_qc=quality)
    files = saved(extracted) | {"_ibl_trials.stimCenter_times.npy": extracted["stimCenter_times"]}
    return Outputs(save(files, out / output), facts)


def _judged(judge: Callable[[], Quality], arguments: Mapping[str, str]) -> dict[str, Any]:
    """Return the quality as the session keeps it; a failure of the checks fails no task."""
    try:
        quality = judge()
    except Exception:
        log.warning("the quality of the trials was not judged", exc_info=True)
        return {}
    namespace = namespace_of(arguments["output_collection"])
    worst = sorted(name for name, one in quality.outcomes.items() if one == quality.outcome)
    log.info("quality: %s, by %s", quality.extended(namespace)[namespace], ", ".join(worst))
    return quality.extended(namespace)


def namespace_of(output_collection: str) -> str:
    """Return Alyx's name for the quality of a protocol: ``task``, or ``task_01``."""
    name = output_collection.rpartition("/")[2]
    return name if name.startswith("task_") else "task"


def wheel(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Extract the wheel's position and movements."""
    from shared.science.behaviour.trials import save
    from shared.science.behaviour.wheel import extract_wheel

    outputs = extract_wheel(session, arguments["collection"])
    return save(outputs, out / arguments["output_collection"])
