"""Our streams and HTTP messages held against Wireshark's own reassembly: ``dsmshark crosscheck FILE``.

For the engineer who asks whether this can be trusted. tshark reads the same file with out-of-order reassembly on, in
two passes; each stream's bytes, each HTTP message and each body's SHA-256 are compared, one line each, and each
difference is explained: which of the two is right, and why. A difference that no rule explains makes exit code 1.
"""

from dissector.crosscheck.report import check, run

__all__ = ["check", "run"]
