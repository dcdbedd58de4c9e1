"""Limits that client and server share, and bounds of stored values."""

from __future__ import annotations

UPLOAD_FILES = 5000
"""Most files of one upload; the request must pass API Gateway (10 MB)."""

PATH_BYTES = 700
"""Longest path of a file below its session, in UTF-8."""

URLS_AT_ONCE = 400
"""Most URLs in one answer, which stays below Lambda's 6 MB; clients ask again for the rest."""

IMPORT_ROWS = 200
"""Most rows of one import request: a Lambda function takes some milliseconds for each."""

REGISTER_FILES = 1000
"""Most files of one ``/register-file`` request."""

JSON_BYTES = 300_000
"""Longest JSON value of one field; a whole item of the table takes 400 KB."""

DESCRIPTION_BYTES = 65_536
"""Longest experiment description; it is kept within the session's JSON."""

JSON_DEPTH = 32
"""Deepest nesting of a JSON value."""

TEXT_CHARACTERS = 200_000
"""Longest free text of one field (a narrative, a description)."""
