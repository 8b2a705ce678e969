"""Emulated devices: scanner, DSM device, scan server."""
