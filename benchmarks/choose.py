"""Choose activation, rate and warm-up of the network of two layers by validation images: `python benchmarks/choose.py` writes choice.json beside it, or goes on with it.
Dynamic MNIST: trained on the first 50,000 training images, compared by log p(x) of 1,000 of the last 10,000 (k=200). No test image is looked at."""
import json, time
from dataclasses import replace
from pathlib import Path
import torch
from vae_nbdev import *
from vae_nbdev.results import TwoLayerVAE

candidates = [(activation, lr, False) for activation in ('Tanh', 'ReLU', 'SiLU', 'ELU') for lr in (1e-3, 2e-3, 3e-3)]

def validation_split():
    "MNIST with the last 10,000 training images to validate on, as the static set has them"
    x = load_dataset('mnist')
    return replace(x, train_images=x.train_images[:50_000], train_labels=x.train_labels[:50_000],
                   valid_images=x.train_images[50_000:], valid_labels=x.train_labels[50_000:])

def run(images, activation, lr, warm_up, epochs=20, k=200, n=1000, seed=42):
    torch.manual_seed(seed)
    dls = image_dls(images, binarize='sample', bs=100)
    learn = vae_learner(dls, TwoLayerVAE(dls.image_shape, activation=activation), precision='fp32', cbs=[BetaWarmup()] if warm_up else [])
    start = time.time()
    with learn.no_bar(), learn.no_logging(): learn.fit_flat_cos(epochs, lr, pct_start=.5)
    row = evaluate(learn, 'valid', k=k, n=n, seed=0).iloc[0]
    return dict(activation=activation, lr=lr, warm_up=warm_up, epochs=epochs, nll=-row.log_px, se=row.log_px_se,
                images=int(row.images), samples=k, seed=seed, minutes=(time.time()-start)/60)

if __name__=='__main__':
    out = Path(__file__).with_name('choice.json')
    rows = json.loads(out.read_text()) if out.exists() else []
    images = validation_split()
    def tried(*c):
        "The row of candidate `c`, run where it was not yet"
        if not any((r['activation'], r['lr'], r['warm_up'])==c for r in rows):
            rows.append(run(images, *c)); print(rows[-1], flush=True)
            out.write_text(json.dumps(rows, indent=1)+'\n')
        return next(r for r in rows if (r['activation'], r['lr'], r['warm_up'])==c)
    best = min((tried(*c) for c in candidates), key=lambda r: r['nll'])
    tried(best['activation'], best['lr'], True)                                # the best of them, with warm-up
    print('chosen:', min(rows, key=lambda r: r['nll']))
