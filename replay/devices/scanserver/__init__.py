"""The emulated scan server: WS-DSP, WS-DSC and the filters behind them."""
