"""OpenAI's and Anthropic's protocols: a file for each endpoint, and what they share."""
