"""The incremental build: only what changed is computed, safely by several builders at once.

State lives beside the pages under ``_state/`` (:mod:`shared.results.build.state`). Everything
else follows from it.

A session's page is announced in the subject's state before it is written and confirmed after, so
that whatever stops a builder, the next one knows every file that may be there.
"""

from shared.results.build.site import BuildReport, Site

__all__ = ["BuildReport", "Site"]
