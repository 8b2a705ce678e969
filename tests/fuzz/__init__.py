"""Damage of every kind: nothing that a capture holds may raise, hang, or cost without bound."""
