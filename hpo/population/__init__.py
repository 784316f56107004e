"""Population-based training: runs that take over each other's weights, and tune as they train.

`search: {method: population}` trains `runs` members of one scale side by side. Every `interval`
reports they are ranked, the worst go on with the weights and moments of the best
(`truncation`), and with settings near theirs (`explore`) or such as gained most so far (`bandit`).
`strategy` is what the sweep asks; `lineage` reads from the store who descends from whom, and the
schedule of settings that a run's weights went through.

The method: Jaderberg et al. 2017 (arXiv 1711.09846); PB2: Parker-Holder et al. 2020
(arXiv 2002.02518); both second-hand, with details as in Ray Tune's source.
"""
