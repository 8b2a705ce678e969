"""What every room stands on: findings, origins, limits and errors.

Nothing here knows a protocol, and nothing here imports another room of the package.
"""
