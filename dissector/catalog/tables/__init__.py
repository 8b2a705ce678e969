"""The catalogue itself: one module a protocol, rows in the notation of ``dissector.catalog.rows``.

The facts are those of the public specifications and driver documentation named in each module; the wording is ours.
"""
