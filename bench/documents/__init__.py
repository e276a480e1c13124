"""Figures in the project's documents, taken from results files."""
