"""Strategies on ask and tell, one file each."""
