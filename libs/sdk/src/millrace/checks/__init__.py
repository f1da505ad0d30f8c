"""From what a team wrote to the checked deployment: each module takes one kind of declaration."""
