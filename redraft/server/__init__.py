"""The client side: connections, rounds, routing, local commands."""
