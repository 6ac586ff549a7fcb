"""How requests leave, and what is allowed to."""
