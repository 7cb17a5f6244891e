"""Where a fit runs."""
