"""What was found out, for people and for programs."""
