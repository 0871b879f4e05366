"""What stands between a question and the servers that may answer it: retries, breaker, balance."""
