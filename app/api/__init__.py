"""HTTP: what comes in is bound and checked here, what goes out is told in the contract's words."""
