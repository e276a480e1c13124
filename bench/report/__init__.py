"""Results files of the benchmarks as one page to read, its figures and a table for a model card."""
