"""Graph neural networks over computation graphs; they need torch and torch-geometric."""
