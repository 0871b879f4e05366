"""`make cluster-demo`: two nodes as one service, on this machine."""
