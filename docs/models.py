"""The models of the site's explorer: `python docs/models.py` trains them again and writes docs/models.

Each is a folder of `save_vae` with page.json beside it: the latents in the order of what they cost, and the code of a test image of each class."""
import json, sys, torch
from pathlib import Path
from vae_nbdev import *

here,widths = Path(__file__).parent,dict(encoder_widths=(256,128), decoder_widths=(256,256))

def page(learn):
    "What the explorer's page has to know of `learn`"
    codes = split_codes(learn, 'test', n=None)
    mean,_,kl = codes.levels[0]
    first = [mean[codes.labels==i][0].tolist() for i in range(len(codes.vocab))]
    return dict(order=kl.mean(0).argsort(descending=True).tolist(), examples=[dict(name=str(n), z=[round(v, 4) for v in z]) for n,z in zip(codes.vocab, first)])

def mnist():
    dls = image_dls('mnist', bs=100, binarize='threshold')
    learn = vae_learner(dls, DenseVAE(dls.image_shape, latent_dim=2, **widths), cbs=BetaWarmup())
    learn.fit_one_cycle(40, 1e-3)
    return learn

def textures():
    dls = image_dls('textures', bs=100)
    learn = vae_learner(dls, DenseVAE(dls.image_shape, latent_dim=16, **widths), likelihood='normal', noise=.1, cbs=BetaWarmup())
    learn.fit_one_cycle(40, 1e-3)
    return learn

if __name__=='__main__':
    for make in (mnist, textures):
        if sys.argv[1:] and make.__name__ not in sys.argv[1:]: continue
        torch.manual_seed(42)
        learn = make()
        print(evaluate(learn, 'test').T)
        folder = save_vae(learn, here/'models'/make.__name__)
        (folder/'page.json').write_text(json.dumps(page(learn), indent=1))
