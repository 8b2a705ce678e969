"""JSON Schemas of what ``dsmreplay`` prints, see :mod:`replay.report.jsontext`."""
