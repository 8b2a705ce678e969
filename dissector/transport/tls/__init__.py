"""TLS between the reassembly and HTTP: records are opened where there are keys, and described where there are none.

``records`` cuts a direction into records, ``handshake`` reads handshake messages, ``keys`` holds key material,
``kdf`` and ``ciphers`` make keys and open records, ``side`` is one direction and ``connection`` both, ``model`` and
``certificates`` say what was seen, ``diagnosis`` what went wrong. No I/O: files are read elsewhere.
"""

from dissector.transport.tls.keys import KeyLog, KeyMaterial

__all__ = ["KeyLog", "KeyMaterial"]
