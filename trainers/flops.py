"""Training FLOPs of the built-in models, counted from their matrix products.

Counted: the products with every matrix and convolution kernel (padding included), both products
of attention over the whole context (as if it were not causal, the convention of PaLM,
arXiv 2204.02311, appendix B), with 2 FLOPs a multiply-add; the backward pass is twice the forward
pass, but for products with the data itself, whose gradient nobody needs. Not counted: embedding
look-ups, norms, rotations, softmax, the optimizer, evaluation.

6ND leaves out attention and the readout, which weigh most in small models: for a GPT of width 32,
depth 2 and a context of 64 the count here is 1.67 times 6ND, of width 1024 1.03 times.
"""

from trainers.models.sizes import ModelShape


def training_flops_per_token(shape: ModelShape) -> int:
    """Return the FLOPs of a forward and a backward pass, a token."""
    return 3 * shape.forward_flops_per_token - shape.data_flops_per_token
