"""The emulated scanner: WS-Scan and WS-DSD on one device host."""
