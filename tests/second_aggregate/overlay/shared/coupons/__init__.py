"""Coupons as both services know them."""
