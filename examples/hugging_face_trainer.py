"""Measure one block of a small GPT-2 along a training by the Hugging Face Trainer.

python examples/hugging_face_trainer.py [OUT]
"""

import sys
from functools import partial

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import landscope as ls
from landscope.integrations.transformers import LandscapeCallback

out = sys.argv[1] if len(sys.argv) > 1 else "runs/examples/hugging_face"

# Sentences that count upwards, some of them cut short and padded.
generator = torch.Generator().manual_seed(0)
starts = torch.randint(1, 80, (64, 1), generator=generator)
tokens = starts + torch.arange(16)
lengths = torch.randint(8, 17, (64, 1), generator=generator)
mask = (torch.arange(16) < lengths).long()
labels = tokens.masked_fill(mask == 0, -100)
names = ("input_ids", "attention_mask", "labels")
data = [dict(zip(names, row, strict=True)) for row in zip(tokens * mask, mask, labels, strict=True)]

torch.manual_seed(0)
shape = {"vocab_size": 100, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 4}
model = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0))

# The loss counts terms as the model's own does: shifted by one token, padding left out.
batch = {"input_ids": (tokens * mask)[:8], "attention_mask": mask[:8], "labels": labels[:8]}
problem = ls.Problem(model.eval(), [batch], params="transformer.h.1")
callback = LandscapeCallback(
    problem,
    f"{out}/run",
    schedule=[0, 10, 30],
    measure=partial(
        ls.measure, parts=["probabilities", "clustering", "hessian"], num_eigenvalues=3, logits=4
    ),
)
arguments = TrainingArguments(
    f"{out}/trainer", max_steps=30, learning_rate=3e-3, use_cpu=True, report_to="none",
    disable_tqdm=True, save_strategy="no",
)  # fmt: skip
Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()
print(callback.recorder.run.trajectory()[["loss", "entropy", "q_sl", "stability_ratio"]])
