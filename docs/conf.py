"""How the documentation is built: `make docs`."""

project = "Fornix"
copyright = "the Fornix developers"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "Fornix"
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]
