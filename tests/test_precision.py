"bfloat16 learns what float32 learns"
import os
from pathlib import Path
import pytest, torch
from vae_nbdev import *
from vae_nbdev.train.speed import has_bfloat16

def elbo(source, precision, seed, cls, epochs, lr, **kwargs):
    torch.manual_seed(seed)
    dls = image_dls(source, bs=100, binarize='threshold', **kwargs)
    learn = vae_learner(dls, cls(dls.image_shape, latent_dim=8), precision=precision, cbs=BetaWarmup())
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, lr)
    return evaluate(learn, 'test', seed=seed).elbo.item()

def check(*args, seeds=3, **kwargs):
    "Nats between the two, a pair of runs for each seed"
    pairs = [(elbo(args[0], 'bf16', seed, *args[1:], **kwargs), elbo(args[0], 'fp32', seed, *args[1:], **kwargs)) for seed in range(seeds)]
    print(args[0], *(f'bf16 {a:.2f} fp32 {b:.2f}' for a,b in pairs))
    assert all(abs(a-b) < .5 for a,b in pairs) and any(a!=b for a,b in pairs), pairs

needs_bf16 = pytest.mark.skipif(not has_bfloat16(), reason='no bfloat16 here')

@needs_bf16
def test_digits(): check('digits', SmallDenseVAE, 10, 2e-3, steps=10, seeds=1)

@pytest.mark.slow
@needs_bf16
def test_digits_of_three_seeds(): check('digits', SmallDenseVAE, 20, 2e-3, steps=20)

@pytest.mark.slow
@needs_bf16
@pytest.mark.skipif(not (Path(os.environ.get('VAE_NBDEV_DATA', '-'))/'mnist.npz').exists(), reason='VAE_NBDEV_DATA has no mnist.npz')
def test_mnist(): check('mnist', SmallDenseVAE, 5, 1e-3)
