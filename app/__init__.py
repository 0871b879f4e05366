"""Secure AI Assistant: a front door for language models that writes everything down first."""

__version__ = "0.1.0"
