"""NWB files become sessions in the ONE convention: our own exports whole, others as far as known.

``tables`` turns a file's content into datasets, with ``recordings``, ``tracking`` and ``passive``;
``job`` lays them into folders that `lab.importers.folder` takes, ``dandi`` fetches files of a
dandiset.
"""
