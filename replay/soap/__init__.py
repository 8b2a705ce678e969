"""SOAP over HTTP as it is sent and answered: composing messages, calling a peer, refusing in the right words."""
