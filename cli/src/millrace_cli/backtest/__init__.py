"""The six services in one process on a virtual clock: a policy judged on a team's own history."""
