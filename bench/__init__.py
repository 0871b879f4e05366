"""Speed, measured in interleaved runs: this service, its former self and its peers; its audit log, the disk and other logs."""
