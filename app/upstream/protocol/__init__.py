"""The OpenAI protocol as it is spoken upstream: a file for each endpoint, and server-sent events beneath."""
