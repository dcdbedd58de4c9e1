"""What users of DataJoint ask, in the client's own language; run by the client's environment.

    python datajoint_queries.py SETTINGS.json NAME

SETTINGS are those that `fornix datajoint up --json` prints; NAME is ``features``, ``populate``,
``spikes`` or ``trials``.
"""

from __future__ import annotations

import json
import sys

import datajoint as dj
import numpy as np
import pandas as pd

TODAY = int(dj.__version__.split(".")[0]) >= 2
"""Whether the client is of the 2.x line."""


SPIKES = tuple(f"cluster_spikes_{name}" for name in ("times", "amps", "depths"))


def connect(path: str) -> None:
    with open(path) as file:
        settings = json.load(file)
    for name, value in settings.items():
        if not (TODAY and name == "connection.init_function"):
            dj.config[name] = value


def rows(query) -> pd.DataFrame:
    return query.to_pandas().reset_index() if TODAY else query.fetch(format="frame").reset_index()


def module(name: str):
    return dj.VirtualModule(name, f"ibl_{name}")


def features() -> list[dict]:
    """Return the features of Fig. 2 of each mouse of the project, by queries and pandas."""
    reference, subject, action = module("reference"), module("subject"), module("action")
    acquisition, behavior = module("acquisition"), module("behavior")
    analyses, wheel = module("analyses_behavior"), module("group_shared_wheel")
    of_project = subject.SubjectProject & 'subject_project = "ibl_neuropixel_brainwide_01"'
    mice = (subject.Subject * subject.SubjectLab * reference.Lab) & of_project.proj()
    mice = mice & acquisition.Session
    sessions = acquisition.Session * analyses.SessionTrainingStatus & mice.proj()
    status = rows(sessions.proj("training_status", "session_uuid", "session_lab"))
    status["date"] = pd.to_datetime(status["session_start_time"]).dt.date
    # Aggregation in the database: when each mouse was trained.
    reached = sessions & 'training_status in ("trained_1a", "trained_1b")'
    trained = rows(
        (subject.Subject & mice.proj()).aggr(reached, date_trained="min(date(session_start_time))")
    ).set_index("subject_uuid")["date_trained"]
    days = rows(analyses.BehavioralSummaryByDate & mice.proj())
    trials = rows(
        (behavior.TrialSet.Trial & mice.proj()).proj(
            "trial_start_time",
            "trial_response_time",
            "trial_stim_on_time",
            "trial_stim_contrast_left",
            "trial_stim_contrast_right",
        )
    )
    trials["date"] = pd.to_datetime(trials["session_start_time"]).dt.date
    moves = rows(wheel.WheelMoveSet & mice.proj())
    sensor = rows(
        acquisition.Session.aggr(
            behavior.AmbientSensorData,
            temperature_c="avg(temperature_c)",
            air_pressure_mb="avg(air_pressure_mb)",
            relative_humidity="avg(relative_humidity)",
        )
    )
    weights = rows(action.Weighing & mice.proj())
    waters = rows(action.WaterAdministration & mice.proj())
    restrictions = rows(action.WaterRestriction & mice.proj())
    found = []
    for mouse in rows(mice).to_dict("records"):
        key = mouse["subject_uuid"]
        day_trained = trained[key] if key in trained.index else None

        def mine(table, key=key):
            return table[table["subject_uuid"] == key]

        my_status = mine(status)
        before = my_status[my_status["date"] < day_trained] if day_trained else my_status
        start = min(my_status["date"])
        on_day = mine(days).set_index("training_day")
        first = mine(trials).merge(
            on_day.reset_index()[["session_date", "training_day"]],
            left_on="date",
            right_on="session_date",
        )
        first = first[first["training_day"] <= 5]
        easy = first["trial_stim_contrast_left"] + first["trial_stim_contrast_right"] >= 0.5
        first["rt"] = first["trial_response_time"] - first["trial_stim_on_time"]
        rt = first[easy].groupby("training_day")["rt"].median()
        n = first.groupby("training_day")["trial_id"].max()
        performance = on_day["performance_easy"]
        size = first.groupby("session_start_time").agg(
            trials=("trial_id", "size"), last=("trial_start_time", "max")
        )
        turns = mine(moves).merge(size, left_on="session_start_time", right_index=True)
        net = (turns["total_displacement"] / turns["total_distance"]).abs()
        speed = turns["total_distance"] / turns["last"]
        ambient = mine(sensor)
        ambient = ambient[ambient["session_start_time"].isin(before["session_start_time"])]
        weighed = mine(weights)
        weighed = weighed[pd.to_datetime(weighed["weighing_time"]).dt.date == start]["weight"]
        drunk = mine(waters)
        drunk = drunk[pd.to_datetime(drunk["administration_time"]).dt.date < day_trained]
        references = mine(restrictions)["reference_weight"]
        found.append(
            {
                "id": str(key),
                "subject": mouse["subject_nickname"],
                "lab": mouse["lab_name"],
                "training_time": float(before["date"].nunique()),
                "sex": {"F": 1.0, "M": 0.0}[mouse["sex"]],
                "age_start": float((start - mouse["subject_birth_date"]).days),
                "perf_init": performance[1],
                "perf_delta1": performance[5] - performance[1],
                "delta_variance": float(np.mean(np.sign(np.diff(performance.loc[1:5])))),
                "RT_init": rt[1],
                "RT_delta1": rt[5] - rt[1],
                "trials_init": float(n[1]),
                "trials_delta1": float(n[5] - n[1]),
                "trials_sum": float(n.sum()),
                "disp_norm": float(np.average(net, weights=turns["trials"])),
                "moves_time": float(np.average(speed, weights=turns["trials"])),
                "weight_start": float(weighed.iloc[0]),
                "weight_loss": float(weighed.mean() / references.iloc[-1]),
                "weekend_water": float(
                    drunk["watertype_name"].str.contains("citric acid", case=False).any()
                ),
                **{
                    name: float(ambient[name].median())
                    for name in ("temperature_c", "air_pressure_mb", "relative_humidity")
                },
            }
        )
    return found


def populate() -> dict:
    """Declare a computed table of one's own, and let it be filled with jobs reserved."""
    acquisition, behavior = module("acquisition"), module("behavior")
    schema = dj.Schema(f"user_ines_{2 if TODAY else 0}")

    @schema
    class MeanContrast(dj.Computed):
        definition = """
        -> behavior.TrialSet
        ---
        contrast : double
        """

        def make(self, key):
            of_session = behavior.TrialSet.Trial & key
            left, right = (
                of_session.to_arrays("trial_stim_contrast_left", "trial_stim_contrast_right")
                if TODAY
                else of_session.fetch("trial_stim_contrast_left", "trial_stim_contrast_right")
            )
            self.insert1({**key, "contrast": float(np.mean(left + right))})

    total = len(acquisition.Session())
    MeanContrast.populate(reserve_jobs=True)
    refused = ""
    try:
        acquisition.Session().delete_quick()
    except Exception as error:
        refused = type(error).__name__
    return {"sessions": total, "made": len(MeanContrast()), "refused": refused}


def spikes() -> list[dict]:
    """Return the spike trains of all units."""
    unpack = dj.blob.unpack if TODAY else np.asarray
    units = module("ephys").DefaultCluster().proj(*SPIKES)
    found = units.to_dicts() if TODAY else units.fetch(as_dict=True)
    return [
        {"unit": row["cluster_id"], **{name: unpack(row[name]).tolist() for name in SPIKES}}
        for row in found
    ]


def trials() -> list[dict]:
    """Return the trials' start times of each session."""
    sessions = module("acquisition").Session.proj("session_uuid")
    found = rows(sessions * module("behavior").TrialSet.Trial).sort_values("trial_id")
    return [
        {"session_uuid": str(uuid), "start": of_session["trial_start_time"].tolist()}
        for uuid, of_session in found.groupby("session_uuid")
    ]


if __name__ == "__main__":
    connect(sys.argv[1])
    names = {"features": features, "populate": populate, "spikes": spikes, "trials": trials}
    answer = names[sys.argv[2]]()
    print("ANSWER " + json.dumps(answer))
