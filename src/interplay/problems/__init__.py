"""Real problems that a user can run, with their recordings."""
