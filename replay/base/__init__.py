"""What every room of the replayer needs: one clock, one maker of identifiers, readable YAML files."""
