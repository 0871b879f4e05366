"""Servers that speak a protocol of their own: LangChain's chat models ask them.

Imported only where the policy file names such a server: LangChain and an SDK take a second to
import, and 60 MB.
"""
