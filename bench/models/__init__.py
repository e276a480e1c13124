"""What is measured: checkpoints, artifacts, exports, and texts of known length."""
