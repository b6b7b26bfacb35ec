"""Follow a training loop of your own: spectrum, clustering, and how near the edge of stability.

    python examples/plain_loop.py [OUT]

This loop takes less than a second. In one that takes hours, max_overhead=0.1 keeps measuring
within a tenth of the time.
"""

import sys
from functools import partial

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import landscope as ls

out = sys.argv[1] if len(sys.argv) > 1 else "runs/examples/plain_loop"
images, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

problem = ls.Problem(model, (images[:60], labels[:60]))
recorder = ls.Recorder(
    problem,
    out,
    schedule=[0, 20, 200],
    measure=partial(
        ls.measure,
        parts=["probabilities", "clustering", "hessian"],
        num_eigenvalues=5,
        num_probes=4,
        num_steps=30,
    ),
    optimizer=optimizer,
)
with recorder:
    for step in range(201):
        recorder.step(model, step)
        batch = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()

trajectory = recorder.run.trajectory()
for snapshot in (trajectory.isel(step=i) for i in range(trajectory.sizes["step"])):
    print(
        f"step {int(snapshot.step):4d}  loss {float(snapshot.loss):.3f}  "
        f"λ_max {float(snapshot.hessian_eigenvalues[0]):6.2f}  "
        f"of its limit {float(snapshot.stability_ratio):.2f}  q_SLSC {float(snapshot.q_slsc):.3f}"
    )
print(f"landscope report {out}   # draws all of it")
