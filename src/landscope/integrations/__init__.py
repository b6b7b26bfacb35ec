"""Callbacks for trainers, trackers for dashboards and an executor on a cluster.

Each is in a module named for its package.

Each needs the extra of its name, and imports its package only when it is imported itself::

    from landscope.integrations.lightning import LandscapeCallback
    from landscope.integrations.transformers import LandscapeCallback
    from landscope.integrations.tensorboard import TensorBoardTracker
    from landscope.integrations.wandb import WandbTracker
    from landscope.integrations.mlflow import MLflowTracker
    from landscope.integrations.ray import RayExecutor
"""
