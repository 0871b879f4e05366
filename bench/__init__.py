"""Speed, measured in one interleaved run: this service, a bare forwarder, LiteLLM's proxy; then the audit log alone."""
