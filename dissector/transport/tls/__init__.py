"""TLS between the reassembly and HTTP: records are opened where there are keys, and described where there are none.

``records`` cuts a direction into records, ``handshake`` reads handshake messages and ``negotiation`` understands them;
``keys`` holds key material, ``keyring`` finds the keys of a connection, ``kdf`` and ``ciphers`` make them and open
records, ``lock`` knows the number of the next one; ``side`` is one direction, ``plain`` what it carried, ``connection``
both, ``table`` all of them; ``model`` and ``certificates`` say what was seen, ``diagnosis`` what went wrong. No I/O:
files are read elsewhere.
"""

from dissector.transport.tls.keys import KeyLog, KeyMaterial

__all__ = ["KeyLog", "KeyMaterial"]
