"""Limits that both sides of HTTP know, and bounds of what is stored."""

from __future__ import annotations

UPLOAD_FILES = 5000
"""Files of one upload; the request must pass API Gateway (10 MB)."""

PATH_BYTES = 700
"""Longest path of a file below its session, in UTF-8."""

URLS_AT_ONCE = 400
"""Addresses in one answer, so that it stays below Lambda's 6 MB; for the rest ask again."""

IMPORT_ROWS = 200
"""Rows of one import request: a Lambda function takes some milliseconds for each."""

REGISTER_FILES = 1000
"""Files of one ``/register-file``."""

JSON_BYTES = 300_000
"""Longest JSON value of one field; a whole item of the table takes 400 KB."""

DESCRIPTION_BYTES = 65_536
"""Longest experiment description; it is kept within the session's JSON."""

JSON_DEPTH = 32
"""Deepest nesting of a JSON value."""

TEXT_CHARACTERS = 200_000
"""Longest free text of one field (a narrative, a description)."""
