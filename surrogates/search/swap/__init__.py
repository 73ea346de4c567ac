"""A training function, swapped for forecasts by one line."""
