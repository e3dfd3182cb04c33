"The README's first lines in small, for an installed package: `python smoke.py [--installed] [folder]`"
import argparse, json, os, sys, tempfile, warnings
from pathlib import Path
os.environ.setdefault('MPLBACKEND', 'Agg')
warnings.simplefilter('ignore', FutureWarning)
before = set(globals())
from vae_nbdev import *
new = set(globals()) - before - {'before'}
import torch, torchvision, fastai, fastcore, vae_nbdev
import matplotlib.pyplot as plt

def run(out):
    torch.manual_seed(0)
    ims = load_dataset('textures', n_per_family=100, size=16)
    dls = image_dls(ims, bs=50, binarize='threshold')
    model = DenseVAE(dls.image_shape, latent_dim=4, encoder_widths=(64,32), decoder_widths=(32,64))
    learn = vae_learner(dls, model, likelihood='bernoulli', beta=1., cbs=BetaWarmup())
    with learn.no_bar(), learn.no_logging():
        start = learn.validate()[0]
        learn.fit(2, 1e-2)
    names = list(learn.recorder.metric_names)
    assert names==['epoch','train_loss','valid_loss','recon','kl','beta','elbo','time'], names
    loss = learn.recorder.values[-1][1]
    assert loss<start, f'the loss did not fall: {start} -> {loss}'

    figs = dict(reconstructions=learn.plot_reconstructions(), samples=learn.plot_samples(grid_size=4),
                traversal=learn.plot_traversal(axis=3, start=-3, stop=3), losses=learn.plot_losses())
    for name,fig in figs.items():
        fig.savefig(out/f'{name}.png'); plt.close(fig)
        assert (out/f'{name}.png').stat().st_size>1000, name

    save_vae(learn, out/'model')
    vae = load_vae(out/'model')
    x = dls.valid.one_batch()[0].cpu()
    assert torch.allclose(vae.reconstruct(x), learn.model.cpu().reconstruct(x), atol=1e-6)
    samples = vae.sample(9)
    assert samples.shape==(9,1,16,16) and 0<=samples.min() and samples.max()<=1
    return dict(start=start, loss=loss)

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--installed', action='store_true', help='fail unless vae_nbdev is the one installed in this environment')
    p.add_argument('folder', nargs='?', help='where to write; without it a temporary folder')
    args = p.parse_args()
    where = Path(vae_nbdev.__file__).resolve()
    if args.installed: assert where.is_relative_to(Path(sys.prefix).resolve()), f'{where} is not in {sys.prefix}'
    assert new==set(vae_nbdev.__all__), new ^ set(vae_nbdev.__all__)
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(args.folder or tmp); out.mkdir(parents=True, exist_ok=True)
        res = run(out)
    print(json.dumps(res | {m.__name__: m.__version__ for m in (vae_nbdev, torch, torchvision, fastai, fastcore)}))
