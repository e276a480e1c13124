"""The variants of one artifact beside each other."""
