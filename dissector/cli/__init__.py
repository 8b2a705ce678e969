"""The command ``dsmshark``: arguments in, text or JSON out, an exit code back.

The parser is built without importing what the commands need; each command's module is imported when it runs, so that
``dsmshark --help`` costs no more than argparse.
"""

from dissector.cli.main import main

__all__ = ["main"]
