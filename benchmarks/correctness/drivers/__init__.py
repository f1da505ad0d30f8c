"""The peers as their users write them; each runs in an environment of its own and knows nothing of Millrace."""
