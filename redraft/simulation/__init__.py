"""A whole cluster in one process, from one seed: production's nodes on simulated machines."""
