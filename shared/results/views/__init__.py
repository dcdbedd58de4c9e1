"""One module a page: the struct that its template, its data and its picture are made from.

``page`` is the frame (title, crumbs, script's attributes), ``data`` the JSON that the page's
script draws and others may reuse; other fields are for the template alone.
"""
