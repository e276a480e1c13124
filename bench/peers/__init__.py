"""What other engines make of the same checkpoint."""
