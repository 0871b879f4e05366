"""The index of the log for searches and sums: derived from it, and rebuilt where it is missing."""
