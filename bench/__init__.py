"""Speed in interleaved runs: this service, an earlier version and its peers; its audit log, the disk and other logs."""
