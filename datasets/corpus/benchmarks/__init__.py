"""The benchmarks, one module and one data card each; see :func:`archcast.datasets.load`."""
