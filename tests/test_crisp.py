"Maps, codes, autoregression and flows along a user's whole way; quantisers beside someone else's"
import pytest, torch
from fastai.callback.core import Callback
from torch import nn
from vae_nbdev import *
from vae_nbdev.models.codes import FSQStage, VQStage

vq = dict(name='vq', n=16)
def small(cls, d, shape, **kwargs): return cls(shape, d, down=1, channels=16, hidden=8, **kwargs)
kinds = dict(vq=lambda s: small(VQVAE, 8, s, latents=vq),
             gradient=lambda s: small(VQVAE, 8, s, latents=vq | dict(decay=None, rotation=True)),
             two=lambda s: VQVAE2(s, 8, down=(1,1), channels=16, hidden=8, latents=vq, prior=('standard', dict(name='transformer', width=16, depth=1))),
             fsq=lambda s: small(MapVAE, 4, s, latents='fsq'),
             transformer=lambda s: small(VQVAE, 8, s, latents=vq, prior=dict(name='transformer', width=16, depth=1)),
             flow=lambda s: small(MapVAE, 2, s, prior=dict(name='flow', layers=2, hidden=16)),
             pixelvae=lambda s: SmallDenseVAE(s, 4, likelihood=dict(name='pixelcnn', channels=8, layers=2)),
             pixelladder=lambda s: SmallDenseLadderVAE(s, (4,2), likelihood=dict(name='transformer', width=16, depth=1)),
             pixelcnn=lambda s: PixelCNN(s, channels=8, layers=2),
             deep=lambda s: TopDownVAE(s, 2, down=(1,0,1), channels=8, merge='residual', remember=False),
             biva=lambda s: BIVA(s, 2, down=(1,1), channels=8, spectral=1e-2),
             vdvae=lambda s: VDVAE(s, 2, enc='8d2,4x1,4d2', dec='2x2,4m2,4x1', channels=8, hidden=8))

@pytest.fixture(scope='module')
def dls(): return image_dls('digits', bs=100, binarize='threshold', steps=5)

def learner(dls, kind, **kwargs):
    torch.manual_seed(0)
    return vae_learner(dls, kinds[kind](dls.image_shape), **kwargs)

def fit(learn, epochs, **kwargs):
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs, 2e-3, **kwargs)
    return learn

def state(learn): return {k: v.clone() for k,v in learn.model.state_dict().items()}

class Stop(Exception): pass
class StopAt(Callback):
    order = 1000
    def after_batch(self):
        if self.training and self.train_iter==8: raise Stop('in the second epoch')

@pytest.mark.parametrize('kind', kinds)
def test_a_run_that_is_interrupted_goes_on_bit_for_bit(kind, dls, tmp_path):
    whole = state(fit(learner(dls, kind), 3, seed=1))
    run = Checkpoint(tmp_path/'run', every=3)
    with pytest.raises(Stop): fit(learner(dls, kind), 3, seed=1, resume=run, cbs=StopAt())
    went_on = state(fit(learner(dls, kind), 3, seed=1, resume=tmp_path/'run'))
    assert all(torch.equal(whole[k], went_on[k]) for k in whole)
    assert any(not torch.equal(v, state(learner(dls, kind))[k]) for k,v in whole.items())

def other_networks():
    torch.manual_seed(0)
    return [Perceptual(nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())), Adversarial(start=.3, features=.1, samples=True, layers=1, width=4)]

def test_a_discriminator_goes_on_bit_for_bit(dls, tmp_path):
    whole = fit(learner(dls, 'flow', cbs=other_networks()), 3, seed=1)
    with pytest.raises(Stop): fit(learner(dls, 'flow', cbs=other_networks()), 3, seed=1, resume=Checkpoint(tmp_path/'run', every=3), cbs=StopAt())
    went_on = fit(learner(dls, 'flow', cbs=other_networks()), 3, seed=1, resume=tmp_path/'run')
    for a,b in ((state(whole), state(went_on)), (whole.adversarial.net.state_dict(), went_on.adversarial.net.state_dict())): assert all(torch.equal(a[k], b[k]) for k in a)
    assert whole.elbo_history.table.equals(went_on.elbo_history.table) and {'adversary','features','perceptual'} <= {*whole.elbo_history.table.columns}

def steady(): return [EMA(.9), SkipLargeGradients()]

def test_averages_go_on_bit_for_bit(dls, tmp_path):
    "An interrupted run has the average of all its steps, as `deep` lies channels last also in memory"
    whole = fit(learner(dls, 'deep', cbs=steady()), 3, seed=1)
    with pytest.raises(Stop): fit(learner(dls, 'deep', cbs=steady()), 3, seed=1, resume=Checkpoint(tmp_path/'run', every=3), cbs=StopAt())
    went_on = fit(learner(dls, 'deep', cbs=steady()), 3, seed=1, resume=tmp_path/'run')
    a,b = state(whole),state(went_on)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert went_on.skip_large_gradients.lengths==whole.skip_large_gradients.lengths and len(whole.skip_large_gradients.lengths)==15
    raw = state(fit(learner(dls, 'deep'), 3, seed=1))
    assert any(not torch.equal(a[k], raw[k]) for k in a)
    # a finished run is loaded with its average
    again = state(fit(learner(dls, 'deep', cbs=steady()), 3, seed=1, resume=tmp_path/'run'))
    assert all(torch.equal(a[k], again[k]) for k in a)

def test_many_levels_share_columns_by_size(dls):
    torch.manual_seed(0)
    learn = fit(vae_learner(dls, TopDownVAE(dls.image_shape, 1, down=(1,0,0,1,0,0,1), channels=4, hidden=4), precision='fp32'), 1)
    row = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))
    assert {c for c in row if c[:3] in ('kl_', 'act')}=={f'{a}_{s}' for a in ('kl', 'active') for s in ('4x4', '2x2', '1x1')}
    last = learn.elbo_history.table.iloc[-1]
    assert row['kl_4x4']==pytest.approx(last.kl_z1+last.kl_z2+last.kl_z3, rel=1e-4) and row['kl']==pytest.approx(last.kl, rel=1e-4)
    assert row['kl_4x4']+row['kl_2x2']+row['kl_1x1']==pytest.approx(row['kl'], rel=1e-4)

def test_one_level_is_a_vae_of_the_same_networks(dls):
    class Flat(VAE):
        def _encoder(self): return deep.encoders[0]
        def _decoder(self): return deep.decoders[0]
    torch.manual_seed(0)
    deep = TopDownVAE(dls.image_shape, 2, down=(1,), channels=8)
    flat = Flat(dls.image_shape, (2,4,4))
    flat.head,flat.stages[0].from_image.layer = deep.head,deep.stages[0].from_image
    x = dls.valid.one_batch()[0][:5]
    def of(m):
        torch.manual_seed(1)
        with torch.no_grad(): return m(x)
    a,b = of(deep),of(flat)
    assert torch.allclose(a.params, b.params, atol=1e-6) and torch.allclose(a.levels[0].kl(), b.levels[0].kl(), atol=1e-5)

@pytest.mark.parametrize('kind', kinds)
def test_what_is_saved_is_what_is_loaded(kind, dls, tmp_path):
    learn = fit(learner(dls, kind), 1)
    vae,x = load_vae(save_vae(learn, tmp_path/'m')),dls.valid.one_batch()[0][:5]
    def of(model):
        torch.manual_seed(0)
        return model.log_weights(x, 2),model.sample(3)
    for a,b in zip(of(vae), of(learn.model)): assert torch.equal(a, b)

@pytest.mark.parametrize('kind', kinds)
def test_numbers_and_pictures(kind, dls):
    learn = fit(learner(dls, kind, precision='bf16'), 1)
    e = evaluate(learn, 'test', k=2).iloc[0]
    assert e.elbo==pytest.approx(-e.recon-e.kl, abs=1e-3) and e.log_px>=e.elbo-.5
    assert ('mse' in e)==learn.model.likelihood.expected
    learn.plot_samples(grid_size=2)
    learn.show_results(max_n=2)
    if kind=='pixelcnn':
        for f in (learn.plot_reconstructions, lambda: split_codes(learn)): pytest.raises(TypeError, f)
        for f in (learn.plot_traversal, lambda: explore(learn)): pytest.raises(ValueError, f)
        return
    learn.plot_reconstructions(n=2)
    learn.plot_traversal(axis=1, n=3)
    latent_stats(learn)
    codes = split_codes(learn, 'test')
    kl = sum(kl.sum(1).mean() for *_,kl in codes.levels)
    # given the means above, not draws: in `vdvae`, of four levels hardly trained, that is another number
    if kind!='vdvae': assert kl.item()==pytest.approx(e.kl, abs=.3)
    ex = explore(learn, n=10)
    ex.tabs.selected_index = len(ex.levels)
    next(iter(ex.levels[0].sliders.values())).value += .1
    ex.walk.at.value = .2

@pytest.mark.parametrize('kind', kinds)
def test_watched_and_filmed(kind, dls, tmp_path):
    "The pictures are drawn from the random numbers of others: training is what it is without them"
    film,window = GifCallback(tmp_path/'film.gif', n=4, max_frames=3, show=False),WatchCallback(n=4, live=True)
    watched = fit(learner(dls, kind), 1, seed=0, cbs=[film, window])
    alone = fit(learner(dls, kind), 1, seed=0)
    assert (tmp_path/'film.gif').stat().st_size>100 and window.points
    assert all(torch.equal(a, b) for a,b in zip(state(watched).values(), state(alone).values()))

def test_no_aux_is_in_the_bound(dls):
    x = dls.valid.one_batch()[0]
    def terms(commitment):
        torch.manual_seed(0)
        model = small(VQVAE, 8, dls.image_shape, latents=vq | dict(commitment=commitment)).eval()
        return ELBO()(model(x), x, model.likelihood)
    little,much = terms(.25),terms(25.)
    assert torch.equal(little.elbo, much.elbo) and torch.allclose(100*little.aux['commitment'], much.aux['commitment'])
    assert torch.allclose(much.loss, -much.elbo+much.aux['commitment'], atol=1e-3)

def test_commitment_weighs_as_the_pixels_do(dls):
    x = dls.valid.one_batch()[0]
    def of(noise):
        torch.manual_seed(0)
        return small(VQVAE, 8, dls.image_shape, latents=vq, likelihood='normal', noise=noise)(x).aux['commitment'].mean()
    assert torch.allclose(of(.025)/of(.25), torch.tensor(100.), rtol=1e-3)

def test_columns_of_codes(dls):
    learn = fit(learner(dls, 'vq'), 1)
    row = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))
    codes = torch.cat([learn.model.eval().encode(x)[0].q.codes for x,_ in dls.valid])
    share = codes.flatten().bincount(minlength=16)/codes.numel()
    assert row['used']==(share>0).float().mean() and row['perplexity']==pytest.approx(torch.special.entr(share).sum().exp().item(), rel=.05)

class Coded(LadderVAE):
    "Codes below numbers, and numbers below codes"
    def _encoder(self, level, shape): return nn.Sequential(nn.Conv2d(shape[0], 8, 3, 2, 1), nn.ReLU())
    def _decoder(self, level): return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(self.latent_shapes[level][0], 8, 3, 1, 1), nn.ReLU())

@pytest.mark.parametrize('latents,columns', [((vq, 'normal'), {'used_z1', 'perplexity_z1'}), (('normal', vq), {'used_z2', 'perplexity_z2'}), (vq, {'used_z1', 'perplexity_z1', 'used_z2', 'perplexity_z2'})])
def test_ladders_with_codes(latents, columns, dls, tmp_path):
    torch.manual_seed(0)
    learn = fit(vae_learner(dls, Coded(dls.image_shape, ((4,4,4), (4,2,2)), latents=latents)), 1)
    assert {c for c in learn.recorder.metric_names if c.startswith(('used', 'perplexity'))}==columns
    x = dls.valid.one_batch()[0][:5]
    assert learn.model.eval().log_weights(x, 2).isfinite().all() and learn.model.sample(3).shape==(3,*dls.image_shape)
    assert torch.equal(load_vae(save_vae(learn, tmp_path/'m')).reconstruct(x), learn.model.reconstruct(x))

@pytest.mark.parametrize('kind', ['vq', 'flow', 'pixelvae'])
@pytest.mark.slow
def test_compiled(kind, dls):
    "Minutes: a C++ compiler runs for each graph"
    plain,compiled = (fit(learner(dls, kind, precision='fp32', compile=c), 1, seed=0) for c in (False, True))
    a,b = (l.elbo_history.table.recon.iloc[0] for l in (plain, compiled))
    assert a==pytest.approx(b, rel=1e-2)

@pytest.mark.slow
def test_forty_levels_train_in_bfloat16():
    "Minutes: 2,000 steps"
    torch.manual_seed(0)
    dls = image_dls('digits', bs=50, binarize='threshold', steps=500)
    model = VDVAE(dls.image_shape, 2, enc='8d2,4x2,4d2,2x2,2d2', dec='1,2m1,2x9,4m2,4x28', channels=16, hidden=16)
    assert len(model.stages)==40
    learn = vae_learner(dls, model, precision='bf16', cbs=[EMA(.99), SkipLargeGradients(), BetaWarmup(.25, by='batch')])
    with learn.no_bar(), learn.no_logging(): learn.fit(4, 3e-3)
    table = learn.elbo_history.table
    valid = table[table.split=='valid']
    assert table.loss.notna().all() and learn.skip_large_gradients.skipped<20
    assert valid.loss.iloc[-1]==valid.loss.min()<20                             # a coin for each pixel costs 25 nats

def test_a_decoder_that_sees_above_is_exported_with_all_it_sees(dls, tmp_path):
    ort = pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    m = VQVAE2(dls.image_shape, 4, down=(1,1), channels=8, hidden=4, latents=('normal','normal')).eval()
    z = m.sample_latents(3)
    net = ort.InferenceSession(export_onnx(m, tmp_path/'m.onnx'))
    images, = net.run(None, {f'z{i+1}': o.flatten(1).numpy() for i,o in enumerate(z)})
    assert torch.allclose(torch.from_numpy(images), m.likelihood.mean(m.decode(z)).detach(), atol=1e-4)
    top = ort.InferenceSession(export_onnx(m, tmp_path/'top.onnx', level=1))
    images, = top.run(None, dict(z=z[1].flatten(1).numpy()))
    assert torch.allclose(torch.from_numpy(images), m.likelihood.mean(m.decode(m.latents_below(z[1:], 0.))).detach(), atol=1e-4)

# ---- someone else's quantisers

@pytest.mark.parametrize('levels', [(8,5,5,5), (4,3), (7,6,5)])
def test_finite_scalars_are_those_of_the_paper(levels):
    other = pytest.importorskip('vector_quantize_pytorch').FSQ(list(levels))
    stage,h = FSQStage((2,3,3), (len(levels),3,3), levels),3*torch.randn(50, len(levels), 3, 3)
    q,(z,codes) = stage.quantise(h),other(h)
    assert torch.allclose(q.mean, z, atol=1e-5) and torch.equal(q.codes, codes.long())

def test_vectors_follow_as_theirs_do():
    lib = pytest.importorskip('vector_quantize_pytorch')
    other = lib.VectorQuantize(dim=4, codebook_size=10, decay=.8, commitment_weight=1., threshold_ema_dead_code=0, eps=1e-8, accept_image_fmap=True, rotation_trick=False).train()
    stage = VQStage((4,5,5), (4,5,5), n=10, decay=.8, restart=0., commitment=1.).train()
    inner = other._codebook
    stage.codebook.copy_(inner.embed[0]); stage.total.copy_(inner.embed_avg[0]); stage.count.copy_(inner.cluster_size[0])
    for _ in range(5):
        h = torch.randn(20, 4, 5, 5)
        q,(z,codes,loss) = stage.quantise(h),other(h)
        assert torch.equal(q.codes, codes) and torch.allclose(q.mean, z, atol=1e-5)
        lik = type('Pixels', (nn.Module,), dict(image_shape=(1,2,1)))()
        assert torch.allclose(stage.aux(q, lik)['commitment'].mean(), loss.sum(), atol=1e-5)
    used = stage.count>1e-2
    assert torch.allclose(stage.codebook[used], inner.embed[0][used], atol=1e-3)
