"""Turn any architecture into one canonical :class:`ComputeGraph`, and that into features."""
