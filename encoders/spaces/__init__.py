"""Search spaces: specifications turned into graphs directly, without torch."""
