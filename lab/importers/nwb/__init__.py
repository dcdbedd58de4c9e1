"""NWB files become sessions in the ONE convention: our own exports whole, others as far as known.

``tables`` turns what a file holds into datasets, ``job`` lays them into folders that
`lab.importers.folder` takes, ``dandi`` fetches files of a dandiset.
"""
