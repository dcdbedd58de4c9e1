"""Confine a task's process to its own folder, as far as the platform allows.

=====================  =========  =======  =======
what                   Linux      macOS    Windows
=====================  =========  =======  =======
no secrets inherited   yes        yes      yes
own working folder     yes        yes      yes
ends as a whole        yes        group    process
memory, files, core    yes        partly   no
writes elsewhere       refused ¹  allowed  allowed
reads homes, secrets   refused ¹  allowed  allowed
opens connections      refused ²  allowed  allowed
=====================  =========  =======  =======

¹ Landlock, from kernel 5.13 on; ² from 6.7 on. Elsewhere the worker should be run by an account
that owns nothing else, or in a container.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from lab.tasks import histology, personal

OPEN_FILES = 4096
SPARE_BYTES = 2**30
"""Memory beside a task's declared amount, for the libraries already loaded."""

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/proc", "/sys")
"""Folders of the system that tasks may read."""

ALSO: list[str] = []
"""Further folders that this process may read."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")  # noqa: S108
"""Devices that tasks may use; shared memory among them."""

# Linux, include/uapi/linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_BY_ABI = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 0x4000  # truncate
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_TCP = 3
_SCOPED = 3  # abstract sockets and signals
_NO_NEW_PRIVILEGES = 38


def confine(folder: Path, *, ram: int | None, cpu_seconds: int | None) -> bool:
    """Confine this process, and all its children, to a folder.

    Parameters
    ----------
    folder
        Folder where it may write; its home and its temporary files lie in it.
    ram
        GB that it may use.
    cpu_seconds
        Seconds of computing, of all its threads together.

    Returns
    -------
    bool
        Whether the kernel refuses access to other places.
    """
    for name, place in (("HOME", "home"), ("TMPDIR", "tmp")):
        (folder / place).mkdir(exist_ok=True)
        os.environ[name] = str(folder / place)
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    import tempfile

    tempfile.tempdir = None  # determined again at the next use
    _limit(ram, cpu_seconds)
    return _landlock(
        reads=[*SYSTEM, *_python(), *ALSO], writes=[str(folder), *DEVICES], folder=str(folder)
    )


def _limit(ram: int | None, cpu_seconds: int | None) -> None:
    """Set limits of this process; limits unknown to the platform are left out."""
    if sys.platform == "win32":
        return
    import resource

    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, OPEN_FILES)]
    if cpu_seconds:
        wanted.append((resource.RLIMIT_CPU, cpu_seconds))
    if ram and sys.platform == "linux":  # elsewhere the limit counts reserved memory
        wanted.append((resource.RLIMIT_DATA, ram * 2**30 + SPARE_BYTES))
    for kind, value in wanted:
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _python() -> list[str]:
    """Return the folders from which this Python and ibllib's load, and that of the atlas."""
    code = str(Path(__file__).resolve().parents[2])  # may be missing on the path (lab.tasks.apart)
    own = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path)]
    return [*own, code, *personal.folders(), *histology.folders()]


def _landlock(*, reads: Iterable[str], writes: Iterable[str], folder: str) -> bool:
    """Refuse all access beyond the paths; False if the kernel does not offer it."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if abi < 1:
        return False
    rights = _ALL_BY_ABI[min(abi, 3)]
    attributes = struct.pack("=QQQ", rights, _TCP if abi >= 4 else 0, _SCOPED if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.c_char_p(attributes), size, 0)
    if ruleset < 0:
        return False
    try:
        for paths, allowed in ((reads, _READ), (writes, rights)):
            for path in paths:
                _allow(libc, ruleset, path, allowed & rights)
        if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
            return False
        return libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    """Add one path to a ruleset; a missing path needs no rule."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, fd)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(fd)
