"""A first pipeline file for a team's own data: look at the file, choose, write."""
