"""Rules that hold for all inputs, over real stores."""
