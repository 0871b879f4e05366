"""Other people's clients against a live server, with nothing but base URL and token: `make clients`."""
