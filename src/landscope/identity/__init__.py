"""What something is, as a SHA-256 that other processes, devices and orders find alike."""

from landscope.identity.modules import changed_by_training
from landscope.identity.objects import digest, structure
from landscope.identity.tensors import tensor_digest

__all__ = ["changed_by_training", "digest", "structure", "tensor_digest"]
