"""Our sessions and pipelines, and those of PyTorch, transformers and optimum, as engines."""
