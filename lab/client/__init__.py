"""The client of the Fornix API.

Examples
--------
>>> from lab.client import Client, settings
>>> Client(settings()).get("/me")  # doctest: +SKIP
"""

from lab.client.configuration import Settings, config_path, save_settings, settings
from lab.client.errors import (
    ClientError,
    Conflicting,
    LoginFailed,
    NotConfigured,
    RecordMissing,
    RequestRefused,
    Unreachable,
    WrongAddress,
    plain,
)
from lab.client.http import Client
from lab.client.retries import TRANSIENT, TRIES, Patience, patient_session

__all__ = [
    "TRANSIENT",
    "TRIES",
    "Client",
    "ClientError",
    "Conflicting",
    "LoginFailed",
    "NotConfigured",
    "Patience",
    "RecordMissing",
    "RequestRefused",
    "Settings",
    "Unreachable",
    "WrongAddress",
    "config_path",
    "patient_session",
    "plain",
    "save_settings",
    "settings",
]
