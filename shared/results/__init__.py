"""The results site: sessions, subjects and labs in, the files of a static site out.

Every page is a small HTML shell with its facts as text, and a JSON document that the page's
script draws. The builders take tables and dictionaries and write through a :class:`Store`; they
know neither AWS nor where the data come from, so the cloud's analyses, the command line and the
tests build the same site.
"""
