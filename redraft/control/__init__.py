"""Decisions about the cluster's shape: where leaders and replicas should be."""
