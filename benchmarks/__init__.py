"""Landscope beside its peers: time, products and memory on the same models, data and accuracy."""
