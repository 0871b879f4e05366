"""Agents of other people's frameworks: each does one task with the tool `reverse`, and streams."""
