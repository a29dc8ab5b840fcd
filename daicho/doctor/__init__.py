"""What endangers a ledger."""
