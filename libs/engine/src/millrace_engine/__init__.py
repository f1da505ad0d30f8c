"""Compile and evaluate a team's declarations, purely."""
