"""The paper of the emulated scanner: what lies in the feeder and on the platen.

Sources: inputsource.md, imagestotransfer.md (rule Q10: sides of a duplex feeder).
"""

from __future__ import annotations

from collections.abc import Sequence

from replay.devices.scanner.pages import Page

__all__ = ["FEEDER", "Feeder"]

FEEDER = frozenset({"ADF", "ADFDuplex"})
"""The input sources that take paper from the feeder."""


class Feeder:
    """The paper: sheets in the feeder, and a page on the platen.

    Args:
        pages: sides in order. A simplex scan takes each as the front of a sheet, a duplex scan takes them by two as
            front and back: either way one side is one image.
        refill: fill the feeder anew when a job has emptied it, so that the next client finds the same paper.
        platen: what lies on the platen, default the first page.
    """

    def __init__(self, pages: Sequence[Page], *, refill: bool = True, platen: Page | None = None) -> None:
        self._loaded = list(pages)
        self._refill = refill
        self.pages = list(pages)
        self.platen = platen if platen is not None else (pages[0] if pages else None)

    def load(self, pages: Sequence[Page]) -> None:
        """Other paper."""
        self._loaded = list(pages)
        self.pages = list(pages)

    def take(self, count: int) -> list[Page]:
        """The next pages, at most so many (0: all)."""
        number = len(self.pages) if count == 0 else min(count, len(self.pages))
        taken, self.pages = self.pages[:number], self.pages[number:]
        return taken

    def job_over(self, left: Sequence[Page] = ()) -> None:
        """A feeder job is over; ``left`` are the pages that it did not get to, which stay in the feeder."""
        if not self._refill:
            self.pages = [*left, *self.pages]
        elif not self.pages:
            self.pages = list(self._loaded)

    @property
    def empty(self) -> bool:
        """No sheet is in the feeder."""
        return not self.pages
