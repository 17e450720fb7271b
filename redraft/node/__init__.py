"""The node's logic as inputs and effects, and the Trio driver around it."""
