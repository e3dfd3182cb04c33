"""What is odd but right works, what is wrong is said at the earliest line: by examples, and by hypothesis over shapes, types, layouts and splits"""
import os, warnings
from pathlib import Path
import numpy as np, pytest, torch
from hypothesis import given, settings, strategies as st
from vae_nbdev import *

many = settings(max_examples=int(os.environ.get('VAE_NBDEV_EXAMPLES', 40)), deadline=None, derandomize=True)
grey = np.random.default_rng(0).random((60,12,12)).astype(np.float32)

def data(x, test=None, **kw): return as_images(dict(train_images=x, test_images=x[:10] if test is None else test, **kw))

def trained(images, model=SmallDenseVAE, bs=20, likelihood='normal', **kw):
    "Test ELBO after an epoch"
    dls = image_dls(images, bs=bs)
    learn = vae_learner(dls, model(dls.image_shape, **kw), likelihood=likelihood, noise=.1 if likelihood=='normal' else None)
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    res = evaluate(learn, 'test').iloc[0]
    assert np.isfinite([res.elbo, res.recon, res.kl, res.mse]).all() and 0<=res.kl
    return res.elbo

def warned(f):
    with pytest.warns(UserWarning, match='every pixel'): return f()

class NormedVAE(VAE):
    def _encoder(self): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(16), torch.nn.BatchNorm1d(16))
    def _decoder(self): return torch.nn.Linear(self.latent_dim, 16)

# -- odd, and right --------------------------------------------------------------------------------------------------------

odd = {
    'float64':             lambda: trained(data(grey.astype(np.float64))),
    'float16':             lambda: trained(data(grey.astype(np.float16))),
    'not contiguous':      lambda: trained(data(np.asfortranarray(grey)[:, ::-1, ::2])),
    'read-only':           lambda: trained(data(np.frombuffer(grey.tobytes(), np.float32).reshape(grey.shape))),
    'bool':                lambda: trained(data(grey>.5), likelihood='bernoulli'),
    'int64':               lambda: trained(data((grey*255).astype(np.int64))),
    'a tensor with grad':  lambda: trained(as_images(torch.tensor(grey[:,None], requires_grad=True))),
    'constant':            lambda: trained(warned(lambda: data(np.full_like(grey, .5)))),
    'black':               lambda: trained(warned(lambda: data(np.zeros_like(grey))), likelihood='bernoulli'),
    'one image':           lambda: trained(data(grey[:1], grey[:1]), bs=1),
    'batches of one':      lambda: trained(data(grey), bs=1),
    'a last batch of one': lambda: trained(data(grey[:41]), NormedVAE, bs=20),
    'one latent':          lambda: trained(data(grey), latent_dim=1),
    'one pixel':           lambda: trained(data(grey[:,:1,:1])),
    'odd sizes':           lambda: trained(data(np.random.default_rng(0).random((40,31,17))), ConvVAE, encoder_channels=(8,8), decoder_channels=(8,8,8)),
}
@pytest.mark.parametrize('name', odd)
def test_odd_works(name):
    with warnings.catch_warnings(): warnings.simplefilter('error', UserWarning); odd[name]()

# -- wrong, and told --------------------------------------------------------------------------------------------------------

def spoiled(v):
    x = grey.copy(); x[3,2,2] = v
    return x

wrong = {
    'NaN':                (lambda: data(spoiled(np.nan)), DatasetError, '1 NaN or infinite'),
    'infinity':           (lambda: data(spoiled(np.inf)), DatasetError, '1 NaN or infinite'),
    'from -1 to 1':       (lambda: data(grey*2-1), DatasetError, 'brings -1 to 1 into this range'),
    'from 0 to 255':      (lambda: data(grey*255), DatasetError, 'divide by 255'),
    '16 bits':            (lambda: data((grey*6e4).astype(np.uint16)), DatasetError, 'expected 0 to 255'),
    'no images':          (lambda: data(grey[:0]), DatasetError, 'holds no images'),
    'twelve channels':    (lambda: data(np.zeros((60,8,8,12), np.uint8)), DatasetError, 'fewer than rows and columns'),
    'objects':            (lambda: data(np.array([None]*60)), DatasetError, 'Python objects'),
    'complex':            (lambda: data(grey.astype(complex)), DatasetError, 'array of numbers'),
    'labels too few':     (lambda: data(grey, train_labels=np.zeros(59, int), test_labels=np.zeros(10, int)), DatasetError, 'has length 59; expected 60'),
    'labels of one split': (lambda: data(grey, train_labels=np.zeros(60, int)), DatasetError, 'test_labels'),
    'labels between':     (lambda: data(grey, train_labels=np.full(60, .5), test_labels=np.full(10, .5)), DatasetError, 'expected class numbers'),
    'bs beyond the data': (lambda: image_dls(data(grey), bs=61), ValueError, 'choose a smaller batch'),
    'batch norm of one':  (lambda: trained(data(grey), NormedVAE, bs=1), ValueError, 'Batch norm has nothing to compare'),
    'another size':       (lambda: vae_learner(image_dls(data(grey), bs=20), SmallDenseVAE((1,8,8))), ValueError, 'make it with `dls.image_shape`'),
    'no latents':         (lambda: SmallDenseVAE((1,8,8), latent_dim=0), ValueError, 'whole number from 1'),
    'too small to convolve': (lambda: ConvVAE((1,1,7)), ValueError, 'cannot take'),
    'a batch of another size': (lambda: SmallDenseVAE((1,12,12))(torch.zeros(2,1,8,8)), ValueError, '12'),
}
@pytest.mark.parametrize('name', wrong)
def test_wrong_is_told(name):
    f,error,words = wrong[name]
    with warnings.catch_warnings(), pytest.raises(error, match=words): warnings.simplefilter('ignore'); f()

def test_a_likelihood_that_does_not_fit():
    dls = image_dls(data(grey), bs=20)
    with pytest.warns(UserWarning, match='these are grey'): vae_learner(dls, SmallDenseVAE(dls.image_shape))

@pytest.mark.parametrize('save', [lambda p: save_vae(SmallDenseVAE((1,8,8)), p), lambda p: SmallDenseVAE((1,8,8)).plot_samples(save=p/'x.png'), lambda p: write_images(data(grey), p/'x.pkl')])
def test_folders_that_cannot_be_written(save):
    with warnings.catch_warnings(), pytest.raises((OSError, CheckpointError, DatasetError), match='/proc/nowhere'):
        warnings.simplefilter('ignore'); save(Path('/proc/nowhere'))

# -- over shapes, types, layouts and splits -----------------------------------------------------------------------------------

sizes  = st.tuples(st.integers(2, 30), st.sampled_from([1,3]), st.integers(4, 12), st.integers(4, 12))        # N, C, H, W; smaller ones could be of another layout
kinds  = {'uint8': (np.uint8, 255), 'int64': (np.int64, 255), 'float32': (np.float32, 1), 'float64': (np.float64, 1), 'float16': (np.float16, 1), 'bool': (bool, 1)}
layout = {'NCHW': lambda x: x, 'NHWC': lambda x: x.transpose(0,2,3,1), 'fortran': np.asfortranarray, 'strided': lambda x: np.repeat(x, 2, 0)[::2]}

@many
@given(sizes, st.sampled_from(sorted(kinds)), st.sampled_from(sorted(layout)), st.integers(0, 2**31))
def test_any_layout_and_type_is_the_same_images(size, kind, lay, seed):
    n,c,h,w = size
    dtype,top = kinds[kind]
    x = np.random.default_rng(seed).random(size)
    x[0].flat[0] = 1.                                                          # so that it is seen to be no mask, or a whole one
    x = (x>.5).astype(bool) if kind=='bool' else (x*top).astype(dtype)
    got = data(layout[lay](x), layout[lay](x[:2])).train_images
    want = x.astype(np.float64)*(255/top)
    assert got.dtype==torch.uint8 and got.shape==size
    assert np.abs(got.numpy()-want).max()<=.51 + .25*(kind=='float16')

@many
@given(st.integers(2, 80), st.integers(1, 12), st.booleans(), st.integers(0, 2**31))
def test_a_loader_brings_each_image_once(n, bs, shuffle, seed):
    x = np.arange(n, dtype=np.uint8).reshape(n,1,1,1).repeat(4, 2).repeat(4, 3)
    dls = image_dls(data(np.maximum(x, 2), x[:1]+2), bs=min(bs, n))
    torch.manual_seed(seed)
    seen = torch.cat([(b[0][:,0,0,0]*255).round().int() for b in dls.train])
    assert len(seen)==n//min(bs, n)*min(bs, n) and len(set(seen.tolist())-{2})>=len(seen)-3 and len(dls.train)==n//min(bs, n)
    assert sum(len(b[0]) for b in dls.valid)==1

@many
@given(st.integers(2, 200), st.floats(.01, .9), st.integers(0, 2**31))
def test_splits_add_up(n, test_pct, seed):
    x = np.arange(n*4, dtype=np.int64).reshape(n,1,2,2)%251
    try: im = as_images(x.astype(np.uint8), test_pct=test_pct, seed=seed)
    except DatasetError: assert round(n*test_pct) in (0, n); return
    both = torch.cat([im.train_images, im.test_images]).flatten(1)
    assert len(both)==n and sorted(both.tolist())==sorted(x.reshape(n,-1).tolist())

@settings(many, max_examples=15)
@given(st.sampled_from([1,3]), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.sampled_from(['bernoulli', 'normal', 'laplace', 'continuous_bernoulli', 'discretized_logistic']))
def test_any_shape_of_model_trains(c, h, w, latent_dim, n, likelihood):
    vae = SmallDenseVAE((c,h,w), latent_dim=latent_dim, encoder_widths=(8,), decoder_widths=(8,))
    vae.set_likelihood(likelihood)
    x = torch.rand(n,c,h,w).round()
    terms = ELBO()(vae(x), x, vae.likelihood)
    terms.loss.sum().backward()
    assert terms.kl['kl'].shape==(n,) and (terms.kl['kl']>=0).all() and terms.loss.isfinite().all() and all(p.grad is None or p.grad.isfinite().all() for p in vae.parameters())
    assert vae.sample(n).shape==x.shape and 0<=vae.sample(n).min() and vae.sample(n).max()<=1 and vae.log_weights(x, 3).shape==(n,3)
