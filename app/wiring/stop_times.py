"""How a stop divides its time, SHUTDOWN_GRACE_SECONDS, which the whole of it never exceeds."""

FINISH_SHARE = 0.7
"""Requests in flight go on for so long."""
CUT_SHARE = 0.2
"""What is cut then gets its record and its error. The rest is for the last checkpoint."""
