"""Third-party clients against a running service, with only a base URL and a token: `make clients`."""
