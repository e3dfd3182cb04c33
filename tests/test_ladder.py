"Ladders: trained, looked at, saved, and wrong input along the way"
import pytest, torch
from matplotlib.figure import Figure
from vae_nbdev import *

small = dict(encoder_widths=((64,32),(32,)), decoder_widths=((32,64),(32,)))

@pytest.fixture(scope='module')
def dls(): return image_dls('digits', bs=100, binarize='threshold', steps=60)

def fitted(dls, cls=DenseLadderVAE, epochs=6, cbs=None, precision='auto', free_bits=0., beta=1., **kwargs):
    torch.manual_seed(0)
    learn = vae_learner(dls, cls(dls.image_shape, (8,3), **kwargs), cbs=cbs, precision=precision, objective=ELBO(beta, free_bits))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 3e-3)
    return learn

@pytest.fixture(scope='module')
def learn(dls): return fitted(dls, cbs=BetaWarmup(frac=(2/6, 4/6)), **small)

def test_columns(learn):
    assert list(learn.recorder.metric_names)==['epoch','train_loss','valid_loss','recon','kl','beta','elbo','kl_z1','active_z1','kl_z2','active_z2','time']
    last = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))
    assert abs(last['kl_z1']+last['kl_z2']-last['kl'])<1e-3 and last['beta']==1. and 0<last['active_z1']<=8
    assert [v[4] for v in learn.recorder.values]==pytest.approx([0, (.5+.25)/2, (1+.5)/2, (1+.75)/2, 1, 1])

def test_learns_and_agrees_with_log_weights(learn, dls):
    e,x = evaluate(learn, 'test').iloc[0],split_images(dls, 'test')
    pixels = torch.logit(split_images(dls, 'train').mean(0).clamp(.001, .999)).expand_as(x)
    assert e.elbo > learn.model.likelihood.log_prob(pixels, x).mean().item()+3              # than a model of each pixel by itself
    assert abs(e.kl_z1+e.kl_z2-e.kl)<1e-4
    w = learn.model.log_weights(x, 50)
    assert abs(w.mean().item()-e.elbo) < 3*(w.var(1).mean()/len(x)).sqrt().item() + .02      # one draw an image there, fifty here
    bound = lambda w: (w.logsumexp(1) - torch.tensor(float(w.shape[1])).log()).mean()
    assert w.mean() < bound(w[:,:5]) < bound(w)                                            # tighter with more draws

def test_history_has_levels(learn):
    t = learn.elbo_history.table
    assert {'kl_z1','kl_z2'} <= {*t.columns} and (t.kl-t.kl_z1-t.kl_z2).abs().max()<1e-3
    assert abs(t[t.split=='valid'].loss.iloc[-1]-learn.recorder.values[-1][1])<1e-2

def test_saved_and_loaded(learn, dls, tmp_path):
    vae,x = load_vae(save_vae(learn, tmp_path/'ladder')),split_images(dls, 'test')
    assert type(vae) is DenseLadderVAE and vae.latent_dims==(8,3)
    assert torch.equal(vae.reconstruct(x), learn.model.reconstruct(x))

@pytest.mark.parametrize('make', [
    lambda: DenseConvLadderVAE((1,28,28), (5,3), encoder_channels=(8,4), encoder_width=16, decoder_channels=(4,4,8), encoder_widths=((16,),), decoder_widths=((16,),), batch_norm=True),
    lambda: ConvLadderVAE((3,28,28), (5,3), encoder_channels=((8,4),(4,)), encoder_width=16, decoder_channels=((4,4,8),(4,4)), batch_norm=True),
    lambda: SmallDenseLadderVAE((1,8,8), linear_encoder=True, linear_decoder=True, likelihood='normal', noise=.2), lambda: DeepLadderVAE((1,8,8))])
def test_all_kinds_come_back(make, tmp_path):
    m = make()
    x = torch.rand(4,*m.image_shape)
    m.train()(x)                                                                          # moves the means of batch norm
    again = load_vae(save_vae(m, tmp_path/'m'))
    assert type(again) is type(m) and torch.allclose(again.reconstruct(x), m.reconstruct(x), atol=1e-6)

def test_an_interrupted_fit_leaves_its_losses(dls):
    from fastai.callback.core import Callback
    class Stop(Callback):
        def after_batch(self):
            if self.train_iter==5: raise KeyboardInterrupt
    learn = vae_learner(dls, DenseLadderVAE(dls.image_shape, (8,3), **small), cbs=Stop())
    with learn.no_bar(), learn.no_logging(), pytest.raises(KeyboardInterrupt): learn.fit(1)
    assert len(learn.recorder.losses)==learn.recorder.n_here>0 and all(o.device.type=='cpu' for o in learn.recorder.losses)

def test_pictures(learn):
    for f in (learn.plot_samples(4), learn.plot_reconstructions(), learn.plot_losses(), learn.plot_traversal(axis=2, level=1), learn.plot_traversal(axis=7),
              learn.plot_latent_stats(level=1), learn.plot_latent_scatter(level=1, axes=(0,2)), learn.plot_traversal(axis=0, level=1, x=learn.dls.one_batch()[0][0])): assert isinstance(f, Figure)

def test_latents_below_follow_the_prior(learn):
    torch.manual_seed(0)
    m,z2 = learn.model,torch.randn(1, 3).repeat(500, 1)
    z1 = m.latents_below([z2])[0]
    p = m.prior_of(0, [z2[:1]])
    assert ((z1.mean(0)-p.mean[0]).abs() < 4*p.stddev[0]/500**.5).all() and torch.allclose(m.latents_below([z2], 0.)[0][0], p.mean[0], atol=1e-5)

def test_free_bits_keep_a_level(dls):
    "A heavy KL empties the upper level; free bits keep what they leave free"
    without,kept = (fitted(dls, beta=8., free_bits=f, **small).recorder.values[-1] for f in (0., 3.))
    assert without[8]<.5 and kept[6]>2 and kept[8]>2, (without, kept)

def test_bfloat16(dls):
    a,b = (evaluate(fitted(dls, precision=p, **small), 'test').elbo.item() for p in ('bf16', 'fp32'))
    assert a!=b and abs(a-b)<.5

def test_batch_norm_trains(dls):
    learn = fitted(dls, batch_norm=True, **small)
    assert evaluate(learn, 'test').elbo.item()>-25
    x = split_images(dls, 'test')
    assert torch.allclose(learn.model.reconstruct(x[:3]), learn.model.reconstruct(x)[:3], atol=1e-4)

@pytest.mark.parametrize('call,words', [
    (lambda d,l: DenseLadderVAE(d.image_shape, latent_dims=(8,0)), 'bottom level first'),
    (lambda d,l: DenseLadderVAE(d.image_shape, latent_dims=()), 'bottom level first'),
    (lambda d,l: DenseLadderVAE(d.image_shape, latent_dims=(8,4,2)), '3 levels want as many'),
    (lambda d,l: vae_learner(d, DenseLadderVAE(d.image_shape, **small), beta=(1.,1.,1.)), 'one for each of 2 levels'),
    (lambda d,l: vae_learner(d, DenseLadderVAE(d.image_shape, **small), beta=(1.,-1.)), '0 or more'),
    (lambda d,l: ELBO(free_bits=-1), '0 or more'),
    (lambda d,l: vae_learner(d, DenseLadderVAE(d.image_shape, **small), cbs=BetaWarmup(frac=(.1,.2,.3))), 'frac is one number'),
    (lambda d,l: ELBO(free_bits=1, free_bits_by='unit'), "'level' or 'sample'"),
    (lambda d,l: l.plot_traversal(axis=3, level=1), 'one of the 3 latents'),
    (lambda d,l: l.plot_traversal(level=2), 'level is one of 2'),
    (lambda d,l: l.plot_latent_stats(level=-1), 'level is one of 2'),
    (lambda d,l: l.plot_manifold(), 'plane needs'),
    (lambda d,l: l.model.encode(torch.rand(2,3,8,8)), 'not 2 x 3 x 8 x 8')])
def test_wrong_input(call, words, dls, learn):
    with pytest.raises(ValueError, match=words): call(dls, learn)
