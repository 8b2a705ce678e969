"""Many scenarios as a regression suite: found, played at once where they do not touch the same device, compared with
the last time."""

MAX_JOBS = 64
"""Scenarios that are played at once. (These two stand here since the command line is read without the rest.)"""

MAX_REPEAT = 1_000_000
"""Times that a scenario is played."""
