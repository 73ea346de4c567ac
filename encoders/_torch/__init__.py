"""Reading torch modules: record by ``torch.export``, then trace the ATen operators."""
