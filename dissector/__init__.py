"""Reads captures of Web Services on Devices scanning."""
