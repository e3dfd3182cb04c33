"Likelihoods, latents, priors and objectives: through training, evaluation, checkpoints, and wrong input"
import pytest, torch
from vae_nbdev import *
from vae_nbdev.models.likelihoods import LogisticMixtureLikelihood, NormalLikelihood

widths = dict(encoder_widths=(64,32), decoder_widths=(32,64))

@pytest.fixture(scope='module')
def binary(): return image_dls('digits', bs=100, binarize='threshold', steps=40)

@pytest.fixture(scope='module')
def grey(): return image_dls('digits', bs=100, steps=40)

@pytest.fixture(scope='module')
def colour(): return image_dls('natural', n=600, size=8, color=True, bs=100, steps=40)

def fitted(dls, epochs=3, likelihood=None, noise=None, cbs=None, model=None, objective=None, **kwargs):
    torch.manual_seed(0)
    model = model or SmallDenseVAE(dls.image_shape, 4, **widths, **kwargs)
    learn = vae_learner(dls, model, likelihood=likelihood, noise=noise, cbs=cbs, objective=objective)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 3e-3)
    return learn

def comes_back(learn, path):
    x = split_images(learn.dls)[:20]
    vae = load_vae(save_vae(learn, path))
    assert config(vae.likelihood)==config(learn.model.likelihood)
    for f in ('reconstruct', 'log_weights'):
        torch.manual_seed(1); a = getattr(vae, f)(x)
        torch.manual_seed(1); b = getattr(learn.model, f)(x)
        assert torch.allclose(a, b, atol=1e-4), f
    torch.manual_seed(1); a = vae.sample(5)
    torch.manual_seed(1); b = learn.model.sample(5)
    assert torch.allclose(a, b, atol=1e-5)

@pytest.mark.parametrize('name,noise', [('continuous_bernoulli', None), ('laplace', .1), ('laplace', 'learned'), ('discretized_logistic', None), ('logistic_mixture', None)])
def test_likelihoods(name, noise, grey, tmp_path):
    learn = fitted(grey, likelihood=name, noise=noise)
    first,last = (learn.elbo_history.table.query("split=='valid'").loss.iloc[i] for i in (0, -1))
    assert last<first
    x = learn.model.likelihood.sample(learn.model.decode(learn.model.sample_latents(3)))
    assert x.shape==(3,1,8,8)
    if learn.model.likelihood.discrete:
        bits = bits_per_dim(-evaluate(learn, 'test').elbo.item(), learn.model.likelihood)
        assert 1<bits<8
    comes_back(learn, tmp_path/'m')

def test_colour_mixture_predicts_channels_from_each_other(colour, tmp_path):
    a,b = (fitted(colour, likelihood=l, epochs=6) for l in ('discretized_logistic', 'logistic_mixture'))
    a,b = (bits_per_dim(-evaluate(l, 'test').elbo.item(), l.model.likelihood) for l in (a, b))
    assert b < a-.3, (a, b)
    comes_back(fitted(colour, likelihood=LogisticMixtureLikelihood(colour.image_shape, n_mix=2)), tmp_path/'m')

@pytest.mark.slow
def test_all_colours_of_24_bits_sum_to_one():
    torch.manual_seed(0)
    lik,params = LogisticMixtureLikelihood((3,1,1), n_mix=3),torch.randn(1,30,1,1)
    v,total = torch.arange(256)/255,0.
    gb = torch.cartesian_prod(v, v)
    for r in v:
        x = torch.cat([r.expand(len(gb), 1), gb], 1).view(-1,3,1,1)
        total += lik.log_prob(params.expand(len(x),-1,-1,-1), x).double().exp().sum().item()
    assert abs(total-1)<1e-4

@pytest.mark.parametrize('kw', [dict(latents='student_t'), dict(latents=dict(name='student_t', df=4., learn_df=True)), dict(latents='laplace'), dict(latents='truncated_normal'),
    dict(latents=dict(name='truncated_normal', low=-2., high=2.)), dict(prior='mixture'), dict(prior=dict(name='vamp', n=20)), dict(latents='laplace', prior=dict(name='mixture', n=3))], ids=str)
def test_latents_and_priors(kw, binary, tmp_path):
    learn = fitted(binary, epochs=15, **kw)
    e,x = evaluate(learn, 'test').iloc[0],split_images(binary)
    pixels = torch.logit(split_images(binary, 'train').mean(0).clamp(.001, .999)).expand_as(x)
    assert e.elbo > learn.model.likelihood.log_prob(pixels, x).mean().item()+2
    w = learn.model.log_weights(x, 40)
    assert abs(w.mean().item()-e.elbo) < 4*(w.var(1).mean()/len(x)).sqrt().item()+.05
    assert torch.isfinite(torch.tensor(latent_stats(learn).values)).all()
    comes_back(learn, tmp_path/'m')

def test_rates_are_never_negative(binary):
    m = fitted(binary, latents='truncated_normal').model
    x = split_images(binary)
    assert m.encode(x)[0].q.rsample().min()>=0 and m.encode(x)[0].z.min()>=0 and m.sample_latents(100)[0].min()>=0

def test_deepcopy_of_a_vampprior_has_its_own_encoder(binary):
    from copy import deepcopy
    m = SmallDenseVAE(binary.image_shape, 4, prior=dict(name='vamp', n=5), **widths)
    c = deepcopy(m)
    z = torch.randn(3, 4)
    before = c.prior.log_prob(z)
    with torch.no_grad():
        for p in m.parameters(): p.zero_()
    assert torch.equal(c.prior.log_prob(z), before) and not torch.allclose(m.prior.log_prob(z), before)

# above ten seconds on a busy machine: four objectives, each trained until it shows
def test_objectives(binary):
    plain,iwae,cap,tc = (fitted(binary, epochs=6, cbs=BetaWarmup(), objective=o) for o in (ELBO(), IWAE(10), Capacity(3.), TotalCorrelation(15.)))
    e = [evaluate(l, 'test').iloc[0] for l in (plain, iwae, cap, tc)]
    assert list(evaluate(tc, 'test').columns)==list(evaluate(plain, 'test').columns)       # the KL in one piece again
    assert abs(e[2].kl-3)<.5
    x = split_images(binary, 'train')
    def total_correlation(l):
        with torch.no_grad(): return TotalCorrelation(1.)(l.model.eval()(x), x, l.model.likelihood).kl['kl_tc'].mean().item()
    assert total_correlation(tc) < total_correlation(plain)-.02
    x = split_images(binary)
    def nll(l): return -(l.model.log_weights(x, 500).logsumexp(1)-torch.tensor(500.).log()).mean().item()
    assert abs(iwae.recorder.values[-1][1]-nll(iwae)) < 1.                                 # valid_loss is the bound with 10 draws
    assert -e[1].elbo > iwae.recorder.values[-1][1] > nll(iwae)

def test_a_ladder_on_the_importance_weighted_bound(binary):
    model = SmallDenseLadderVAE(binary.image_shape, (6,2))
    learn = fitted(binary, model=model, objective=IWAE(5))
    assert learn.recorder.values[-1][1] < -learn.recorder.values[-1][5]

@pytest.mark.parametrize('call,words', [
    (lambda d: SmallDenseVAE(d.image_shape, latents='cauchy'), 'choose one of normal'),
    (lambda d: SmallDenseVAE(d.image_shape, latents=dict(df=3.)), 'or with arguments'),
    (lambda d: SmallDenseVAE(d.image_shape, latents=dict(name='student_t', df=2.)), 'df is above 2'),
    (lambda d: SmallDenseVAE(d.image_shape, latents=dict(name='truncated_normal', low=1., high=0.)), 'low is below high'),
    (lambda d: SmallDenseVAE(d.image_shape, prior='gauss'), 'choose one of standard'),
    (lambda d: SmallDenseVAE(d.image_shape, latents='student_t', prior='vamp'), 'made of Gaussians'),
    (lambda d: vae_learner(d, SmallDenseVAE(d.image_shape), likelihood='laplace', noise='optimal'), "or 'learned'"),
    (lambda d: vae_learner(d, SmallDenseVAE(d.image_shape), likelihood='continuous_bernoulli', noise=.1), 'has no noise'),
    (lambda d: vae_learner(d, SmallDenseVAE(d.image_shape), objective=IWAE(5), beta=3.), 'argument of the objective'),
    (lambda d: vae_learner(d, SmallDenseLadderVAE(d.image_shape), objective=TotalCorrelation(3.)), 'one level'),
    (lambda d: vae_learner(d, DenseAutoEncoder(d.image_shape), objective=IWAE(3)), 'is for a VAE'),
    (lambda d: bits_per_dim(3., NormalLikelihood(d.image_shape)), 'no bits per dimension')])
def test_wrong_input(call, words, binary):
    with pytest.raises(ValueError, match=words): call(binary)
