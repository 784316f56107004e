"""Fused runs: several settings of one shape, trained as one batched computation.

A small model leaves a GPU idle, and on a CPU most of its step is spent on calling operations rather
than on doing them. Fused, the weights of K runs are stacked, each operation is called once for all
of them, and each run keeps a learning rate, decay, clipping, schedule, seed and order of data of
its own. A run is the same as it would be alone, but for rounding.

- `trainer`: `FusedTrainer`, to which runs are added, and which hands out their reports.
- `compatible`: which runs can be fused, and why others cannot; torch-free.
- `packing`: how many runs to fuse of a kind, by a short measurement.
- `run`: one of the runs: `trainers.loop.TaskTrainer`, whose steps are taken with others'.
- `stack`: the stacked weights and moments of the runs, and one step of all.
- `one_loss`: whether runs have the same loss, so that a recording of it serves all.
- `tracing`: loss and gradient of all runs, as a graph of batched operations.
- `optimizers`: the optimizers, stepping all runs at once.
"""
