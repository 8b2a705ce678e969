"""Many scenarios as a regression suite: found, played at once where they do not touch the same device, compared with
the last time."""
