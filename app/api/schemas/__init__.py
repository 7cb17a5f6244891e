"""The documents of the contract, as pydantic models: at the edge only."""
