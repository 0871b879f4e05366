"""An OpenAI-compatible gateway with client tokens, rate limits and a tamper-evident audit log."""

__version__ = "0.1.0"
