"""What one thing costs: starting, importing, a call, memory, many texts, many callers, a GPU."""
