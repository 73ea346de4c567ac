"""Bayesian predictors: ensembles, Gaussian processes, noise of their own."""
