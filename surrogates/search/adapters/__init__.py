"""Surrogates in the clothes of other optimizers, one file each."""
