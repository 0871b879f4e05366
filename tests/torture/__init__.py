"""The long versions of the crash tests: `python -m tests.torture [load|kill|full|bytes|all] [--rounds N]`."""
