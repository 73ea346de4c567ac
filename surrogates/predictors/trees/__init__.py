"""Predictors of decision trees, and other classic regressors on tabular features."""
