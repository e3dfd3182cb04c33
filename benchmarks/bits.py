"""What four small models end at, for a change that must not move them: `python benchmarks/bits.py` prints the ELBO of each by seed, in nats.

Digits, float32, one thread. Compare two commits on one machine: where the order of random draws stays, the figures agree to 1e-3 nats; where it has
to change, the means over seeds agree within two standard errors. Figures of two kinds of processors differ by more."""
import os, sys
os.environ['OMP_NUM_THREADS'] = '1'
import pandas as pd, torch
from vae_nbdev import *

flat   = lambda shape: DenseVAE(shape, 4, encoder_widths=(128,64), decoder_widths=(64,128))
ladder = lambda shape: DenseLadderVAE(shape, (8,2), encoder_widths=((128,64),(32,)), decoder_widths=((64,128),(32,64)))
vamp   = lambda shape: DenseVAE(shape, 4, encoder_widths=(128,64), decoder_widths=(64,128), prior=dict(name='vamp', n=20))
kinds  = {'flat': (flat, {}), 'ladder': (ladder, {}), 'iwae 5': (flat, dict(objective=IWAE(5))), 'vamp': (vamp, {})}

def elbo(kind, seed, epochs=20):
    "ELBO of the test images after a training with beta warmed up"
    make,objective = kinds[kind]
    torch.manual_seed(seed)
    dls = image_dls('digits', bs=100, binarize='sample')
    learn = vae_learner(dls, make(dls.image_shape), precision='fp32', cbs=BetaWarmup(), **objective)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 2e-3, seed=seed)
    return evaluate(learn, 'test', pca=False).elbo.item()

if __name__=='__main__':
    torch.set_num_threads(1)
    seeds = [int(o) for o in sys.argv[1:]] or range(5)
    table = pd.DataFrame({k: {s: elbo(k, s) for s in seeds} for k in kinds}).rename_axis('seed')
    print(table.round(4).to_string(), pd.DataFrame({'mean': table.mean(), 'se': table.sem()}).T.round(3).to_string(), sep='\n\n')
