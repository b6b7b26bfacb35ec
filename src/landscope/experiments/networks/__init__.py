"""The paper's experiments on networks that are trained."""
