"""The method: processes, rounds, answers compared, ratios with intervals, results kept."""
