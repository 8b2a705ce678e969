"""How emulated devices are told to behave and to fail: rules, what they order, and how they are written."""
