"""Tokenize, run, decode: a pipeline for each task, and what they share."""
