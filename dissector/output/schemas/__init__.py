"""JSON Schema files of the outputs; a package, so that they are installed."""
