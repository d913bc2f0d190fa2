"""Nights that are cut, starved and disturbed at every point, and what must hold afterwards."""
