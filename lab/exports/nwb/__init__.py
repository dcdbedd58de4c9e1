"""Sessions as NWB files, by today's mapping of the International Brain Laboratory.

Plain core types, and ndx-pose for pose. Source of names and layout: IBL-to-nwb (2025), whose files
are dandiset 000409.
"""
