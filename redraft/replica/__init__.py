"""One group on this node: propose, read, apply, sessions."""
