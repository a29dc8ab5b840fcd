"""Coupons on the write side."""
