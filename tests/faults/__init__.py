"""The long versions of the fault tests: `python -m tests.faults [load|kill|full|gone|power|syscalls|bits|all] [--rounds N]`."""
