"""The client of the Fornix API.

Examples
--------
>>> from lab.client import Client, settings
>>> Client(settings()).get("/me")  # doctest: +SKIP
"""

from lab.client.configuration import Settings, config_path, save_settings, settings
from lab.client.errors import (
    ClientError,
    Conflict,
    LoginFailed,
    NotConfigured,
    NotFound,
    Refused,
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
    "Conflict",
    "LoginFailed",
    "NotConfigured",
    "NotFound",
    "Patience",
    "Refused",
    "Settings",
    "Unreachable",
    "WrongAddress",
    "config_path",
    "patient_session",
    "plain",
    "save_settings",
    "settings",
]
