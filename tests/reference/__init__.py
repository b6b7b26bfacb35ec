"""Independent references: the definitions written out in float64, with torch.autograd alone.

Nothing here imports landscope, and nothing here uses torch.func: its nested Jacobians are
silently wrong through layer_norm, so they can be no reference.
"""
