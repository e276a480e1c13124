"""The least time that this machine needs for a graph's work."""
