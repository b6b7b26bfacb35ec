"""The paper's experiments on networks that are trained.

Each is a module with ``compute(seed, progress, *, grid, scale)`` and ``claims(dataset)``: `compute`
trains its cells on `grid` in the sizes of `scale`, the first network of each kind with `seed`,
tells ``progress(done, total, doing)`` how far it is, and returns all that is drawn; `claims` holds
what the paper says against it.
"""
