"""Two TLS channels that speak with each other in memory."""

from __future__ import annotations

from collections.abc import Callable

from replay.net.tls import TlsChannel


class Pair:
    """A client and a server; what each received is in ``at_client`` and ``at_server``.

    Args:
        step: bytes that are handed over at once, None for all there are.
        watch: called with the side and each piece that goes over the wire.
    """

    def __init__(
        self,
        client: TlsChannel,
        server: TlsChannel,
        step: int | None = None,
        watch: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self.client = client
        self.server = server
        self.at_client = b""
        self.at_server = b""
        self._step = step
        self._watch = watch

    def run(self) -> None:
        """Carry bytes to and fro until none are left; a side's failure comes after its alert was carried."""
        self.client.start()
        failure: Exception | None = None
        going = True
        while going:
            going = False
            for side, source, sink in (("client", self.client, self.server), ("server", self.server, self.client)):
                data = source.outgoing()
                if data and self._watch:
                    self._watch(side, data)
                going = going or bool(data)
                step = self._step or len(data) or 1
                for at in range(0, len(data), step):
                    try:
                        plain = sink.receive(data[at : at + step])
                    except Exception as error:
                        failure = failure or error
                        break
                    if sink is self.client:
                        self.at_client += plain
                    else:
                        self.at_server += plain
        if failure is not None:
            raise failure
