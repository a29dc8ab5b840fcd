"""Coupons on the read side."""
