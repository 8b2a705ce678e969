"""A recorded conversation as a scenario that can be played again: its values, its steps, its files."""
