"""`python -m tests.lab.as_on_windows rig upload …`: ``fornix`` without what Windows lacks.

Modules of POSIX cannot be imported, and names of ``os`` and ``signal`` that Windows has not are
gone. A file is not renamed onto another one, and none that is open is replaced or deleted. What
the standard library itself needs on this system it has imported before.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import getpass
import logging.handlers
import multiprocessing
import os
import platform
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import click
import requests
import rich.console
import rich.progress

NEEDED = (asyncio, concurrent.futures, getpass, logging.handlers, multiprocessing, platform)
NEEDED_TOO = (sqlite3, ssl, subprocess, tempfile, click, requests, rich.console, rich.progress)
"""Imported before anything is taken away."""

MODULES = ("fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")

NAMES = (
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "chown", "fchmod"),
    *("fchown", "fdatasync", "fork", "geteuid", "getgid", "getpgid", "getuid", "getsid", "killpg"),
    *("mkfifo", "nice", "pread", "pwrite", "sched_getaffinity", "sendfile", "setsid"),
    *("sync", "sysconf", "uname", "wait4", "waitid"),
)
"""Of ``os``."""

SIGNALS = ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def is_open(path: Any) -> bool:
    """Tell whether this process has a file open."""
    here = os.path.realpath(path)
    for each in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{each}") == here:
                return True
        except OSError:
            continue
    return False


def as_windows_does(change: Callable[..., Any], *, onto: bool) -> Callable[..., Any]:
    """Return a change of files that refuses what Windows refuses."""

    def changed(path: Any, *more: Any, **options: Any) -> Any:
        for each in (path, *more[:1]):
            if is_open(each):
                raise PermissionError(13, "it is being used by another process", str(each))
        if more and not onto and os.path.lexists(more[0]):
            raise FileExistsError(17, "the file exists already", str(more[0]))
        return change(path, *more, **options)

    return changed


def take_away() -> None:
    """Make this process as poor as one on Windows."""
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in NAMES:
        if hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS:
        delattr(signal, name)
    os.rename = as_windows_does(os.rename, onto=False)
    os.replace = as_windows_does(os.replace, onto=True)
    os.unlink = os.remove = as_windows_does(os.unlink, onto=True)
    sys.platform = "win32"


if __name__ == "__main__":
    take_away()
    from lab import cli

    cli.main()
