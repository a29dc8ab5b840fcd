"""Other ways to keep orders as events, on the same server; none checks tokens, keys or seals, which favours them."""
