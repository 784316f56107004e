"""Bayesian and classical search: Optuna's samplers propose, having seen the runs before.

A sweep over several scales searches each scale by itself: runs are dealt to the scales in turn, as
in `hpo.planned`, and each scale has a study and a seed of its own. Losses of different scales do
not compare, so one study over all of them would learn about scale, not about settings; for a
search that shares what it learns across scales take `method: law-guided`.

- `strategy`: the strategy, and how it is built from a sweep.
- `scale_study`: one scale's study, in memory.
- `abilities`, `samplers`: what each sampler can search, and how one is made.
- `thinned_gp`: a Gaussian process that stays fast, from an informative part of the history.
- `warm_starts`: what earlier sweeps and published laws give a search to begin with.
- `mirror`, `study_tables`: the studies in the sweep's own database, for optuna-dashboard.
- `checks`: what a sweep file must not ask of it.

A proposal follows from the seed, its number and what was told before alone: every proposal has a
freshly seeded sampler. So a sweep that is resumed goes on with the proposals that it would have
made; where several runs are trained at once, they may be told in another order than they had ended.
"""
