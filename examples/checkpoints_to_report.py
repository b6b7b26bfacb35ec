"""From the checkpoints that a training left to a trajectory and its report.

    python examples/checkpoints_to_report.py [OUT]

The same from the command line, for a function of yours that returns the Problem:

    landscope measure my_module:make_problem --checkpoints OUT/checkpoints --out OUT/run
"""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import landscope as ls
from landscope.experiments import Target, measure_checkpoints
from landscope.figures import write_report
from landscope.training import MeasureConfig

out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples/checkpoints")
images, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16


def make_model() -> torch.nn.Module:
    """Whatever was trained."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 10))


# A training that knows nothing of all this, and leaves files.
model = make_model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
(out / "checkpoints").mkdir(parents=True, exist_ok=True)
for step in range(101):
    if step in (0, 20, 100):
        torch.save(model.state_dict(), out / "checkpoints" / f"step-{step}.pt")
    batch = torch.randint(len(images), (64,))
    optimizer.zero_grad()
    cross_entropy(model(images[batch]), labels[batch]).backward()
    optimizer.step()

# Later: each file is a point of weight space. What was measured before is not measured again.
problem = ls.Problem(make_model(), (images[:40], labels[:40]))
options = MeasureConfig(num_eigenvalues=5, num_probes=3, num_steps=20, tol=1e-2)
target = Target(problem, {"what": "digits"}, options)
run = measure_checkpoints(target, out / "checkpoints", out / "run")
print(run.trajectory()[["loss", "hessian_trace", "q_sl"]].to_dataframe())
print(write_report(run.trajectory(), run.path / "report.html"))
