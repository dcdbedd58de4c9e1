"""Animals as folders name them: a nickname means the animal of the folder's lab."""

from __future__ import annotations

from shared.alf import names
from shared.model.identity import SessionKey, nickname_of
from shared.records import documents, keys
from shared.records.items import Document, Pointer, Session
from shared.sessions.store import find


def find_animal(lab: str, nickname: str) -> Document | None:
    """Return the animal of a lab that has a nickname, or None."""
    first = documents.find("subject", nickname)
    if first is not None and first.body.get("lab") == lab:
        return first
    look = f"{lab}\x1f{names.look(nickname)}"
    try:
        guard = Pointer.get(keys.unique("subject", "look", look), "A", consistent_read=True)
    except Pointer.DoesNotExist:
        return None
    subject = documents.find("subject", guard.to)
    is_it = subject is not None and nickname_of(guard.to) == nickname
    return subject if is_it else None


def find_in_folder(folder: SessionKey) -> Session | None:
    """Return the session whose folder this is, or None; its animal may have left the lab."""
    animal = find_animal(folder.lab, folder.subject)
    names = [folder.subject] if animal is None else [str(animal.body["nickname"]), folder.subject]
    for key in dict.fromkeys(names):
        session = find(key, folder.date, folder.number)
        if session is not None and session.lab == folder.lab:
            return session
    return None
