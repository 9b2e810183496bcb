"""Backends: where answers come from. ``base`` is the protocol, ``registry`` finds the one for a model."""
