"""Sends captured sequences again and emulates devices."""
