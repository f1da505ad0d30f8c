"""features in, candidate models out."""
