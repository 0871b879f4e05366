"""The OpenAI protocol as servers speak it: a file for each endpoint, and what they share."""
