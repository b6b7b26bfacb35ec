"""Measure along a Lightning training, shown in TensorBoard as well.

python examples/lightning_callback.py [OUT]         # then: tensorboard --logdir OUT
"""

import sys
from functools import partial

import torch
from lightning.pytorch import LightningModule, Trainer
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import landscope as ls
from landscope.integrations.lightning import LandscapeCallback
from landscope.integrations.tensorboard import TensorBoardTracker

out = sys.argv[1] if len(sys.argv) > 1 else "runs/examples/lightning"


class Classifier(LightningModule):
    """A multilayer perceptron on the digits."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10)
        )

    def forward(self, images):
        return self.layers(images)

    def training_step(self, batch):
        images, labels = batch
        return torch.nn.functional.cross_entropy(self(images), labels)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


images, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
data = TensorDataset(images.float() / 16, labels)
module = Classifier()

callback = LandscapeCallback(
    ls.Problem(module, (data.tensors[0][:100], labels[:100])),
    out,
    schedule=[0, 10, 50],
    measure=partial(
        ls.measure, parts=["probabilities", "hessian", "hessian_density"], num_eigenvalues=5
    ),
    trackers=[TensorBoardTracker(out)],
)
trainer = Trainer(
    max_steps=50, callbacks=[callback], accelerator="cpu", logger=False, enable_checkpointing=False
)
trainer.fit(module, DataLoader(data, batch_size=64, shuffle=True))
print(callback.recorder.run.trajectory()[["preconditioned_sharpness", "sharpness_limit"]])
