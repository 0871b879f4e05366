"""The OpenAI protocol as servers speak it: a file for each endpoint, and what the endpoints share."""
