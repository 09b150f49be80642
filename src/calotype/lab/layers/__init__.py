"""Network parts, each a small module with its shapes and its source."""
