"""HTTP/1.0 and 1.1 and MIME packages: bytes of a stream in, messages with their findings out, and back.

No I/O but temporary files for bodies that are to be kept. The way in is
:class:`dissector.http.connection.HttpConnection`, the way back :mod:`dissector.http.writer`.

    start, head, headers    a start line; a head and what it says of the body's length; values with parameters
    reader                  one direction, as a state machine: ``framing`` finds the end of a body, ``overrun`` that of
                            one shorter than its length says, ``search`` the next message behind damage; ``draft``
                            is the message under way, ``plain`` the short way to one
    speaker, pairing        what one side asked and answered; which request a response answers
    connection, tunnel      both directions together; another protocol inside
    chunked, body, inflate  transfer coding; what a body is; content coding
    multipart, delimiter    packages; ``transfer`` undoes base64 and quoted-printable
    content, spool          bytes of bodies, kept or not
"""
