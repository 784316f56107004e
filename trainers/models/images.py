"""What the models of images read and answer: small grey images of ten classes; torch-free."""

IMAGE_SIDE = 8
"""Pixels along a side; images reach a model as (samples, 8, 8), of mean 0 and variance 1."""
N_PIXELS = IMAGE_SIDE**2
N_CLASSES = 10
