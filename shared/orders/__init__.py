"""The order as both services know it: its events and the values in them."""
