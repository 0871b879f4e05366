"""The steps of a question, from the proven caller to the recorded answer."""

from __future__ import annotations

from .assistant import SecureAIAssistant as SecureAIAssistant

__all__ = ["SecureAIAssistant"]
