"""What is measured, a process each. The peers run in environments of their own and import nothing of ours but this."""
