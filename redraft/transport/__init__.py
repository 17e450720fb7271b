"""Frames between peers, links that carry them, and the reactor that drives sockets."""
