"""Landscope."""
