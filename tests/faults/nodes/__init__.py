"""Fault runs over several nodes that share their limits."""
