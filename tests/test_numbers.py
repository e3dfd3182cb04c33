"The estimators: against exact answers, within their memory, and with wrong input"
import os, subprocess, sys, warnings, pytest, torch
from itertools import accumulate
from pathlib import Path
from torch.profiler import ProfilerActivity, profile
from vae_nbdev import *
from vae_nbdev.models.priors import MixturePrior
from vae_nbdev.analyse.numbers import log_likelihood
from vae_nbdev.analyse.quality import precision_recall
from vae_nbdev.results import recipes

@pytest.fixture(scope='module')
def binary(): return image_dls('digits', bs=100, binarize='threshold')

def fitted(binary):
    torch.manual_seed(0)
    learn = vae_learner(binary, SmallDenseVAE(binary.image_shape, 4))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(5, 2e-3)
    return learn

@pytest.fixture(scope='module')
def learn(binary): return fitted(binary)

def test_likelihood_is_the_integral_over_a_grid_of_latents(binary):
    torch.manual_seed(0)
    learn = vae_learner(binary, SmallDenseVAE(binary.image_shape, 1))
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(5, 2e-3)
    vae,x,z = learn.model.eval(),split_images(binary)[:20],torch.linspace(-8, 8, 4001)[:,None]
    with torch.no_grad(): params = vae.decode(z)
    exact = torch.stack([(vae.likelihood.log_prob(params, o.expand(len(z), -1, -1, -1)) + vae.prior.log_prob(z)).double().logsumexp(0) for o in x]) + torch.tensor(16/4000).log()
    torch.manual_seed(1)
    log_px,ess = log_likelihood(vae, x, k=20000)
    assert torch.allclose(log_px, exact, atol=.05), (log_px-exact).abs().max()
    assert (ess>50).all()

def test_a_ladder_has_a_likelihood_too(binary):
    torch.manual_seed(0)
    learn = vae_learner(binary, SmallDenseLadderVAE(binary.image_shape, (4,2)))
    e = evaluate(learn, 'test', k=50, n=100).iloc[0]
    assert e.log_px > e.elbo and e.images==100 and 'active' not in e and e.bpd == pytest.approx(-e.log_px/64/torch.tensor(2.).log().item(), rel=1e-5)

def test_images_are_the_same_however_often_is_drawn():
    dls = image_dls('digits', bs=50, binarize='sample')
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2))
    a,b = evaluate(learn, 'test').iloc[0],evaluate(learn, 'test', k=20).iloc[0]
    assert a.recon==b.recon and a.mse==b.mse
    assert evaluate(learn, 'test', seed=1).recon.item()!=a.recon

def test_columns_where_there_is_no_prior(binary):
    learn = vae_learner(binary, DenseAutoEncoder(binary.image_shape, 2))
    e = evaluate(learn, 'test')
    assert 'bpd' not in e and 'active' not in e
    with pytest.raises(TypeError, match='k is for a VAE'): evaluate(learn, k=10)
    for f in (sample_quality, lambda learn: fit_prior(learn, 'flow')): pytest.raises(TypeError, f, learn)

@pytest.mark.parametrize('data,likelihood,has', [({}, 'bernoulli', False), (dict(binarize='threshold'), 'bernoulli', True), ({}, 'normal', False), (dict(whiten=.1), 'discretized_logistic', False)])
def test_bits_per_dimension_only_where_pixels_are_what_the_likelihood_is_of(data, likelihood, has):
    dls = image_dls('digits', bs=100, **data)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood=likelihood)
    told = [w for w in told if 'numbers can' in str(w.message)]
    assert ('bpd' in evaluate(learn, 'test'))==has and bool(told)==(not has and likelihood!='normal')

@pytest.mark.parametrize('kwargs,match', [(dict(k=0), 'draws'), (dict(k=2.5), 'draws'), (dict(k=5, memory=0), 'memory'), (dict(n=1), 'from 2'), (dict(splits=('train', 'tset')), "'test'")])
def test_wrong_arguments(kwargs, match, learn):
    before = learn.model.training
    with pytest.raises(ValueError, match=match): evaluate(learn, **kwargs)
    assert learn.model.training==before

def test_an_error_leaves_the_mode_as_it_was(learn):
    learn.model.train()
    with pytest.raises(ValueError): evaluate(learn, k=5, memory=-1)
    assert learn.model.training

def peak(f, *args, **kwargs):
    "Most MB that the tensors of a call take at once, as torch's profiler counts them: the size of the process would have malloc's habits in it"
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p: f(*args, **kwargs)
    events = sorted((e for e in p.profiler.kineto_results.events() if e.name()=='[memory]'), key=lambda e: e.start_ns())
    return max(accumulate(e.nbytes() for e in events))/2**20

# above ten seconds on a busy machine: torch's profiler notes every tensor of 66,000 draws
def test_draws_stay_within_their_memory():
    "32 images at 1,000 draws, two where each draw meets the 500 parts of a mixture: never more than was given, and more where more was given"
    vae,x = DenseVAE((1,28,28), 16, prior=dict(name='vamp', n=500)).eval(),torch.rand(32,1,28,28).round()
    mixture = peak(log_likelihood, vae, x[:2], 1000, memory=16)
    vae.set_prior('standard')
    small,large = (peak(log_likelihood, vae, x, 1000, memory=m) for m in (16, 400))
    assert mixture<16 and small<16 and 10*small<large<400, (mixture, small, large)

def test_precision_and_recall_do_not_take_the_square_of_the_images():
    "All distances of 9,000 images are 309 MB; some at a time are fewer"
    x = torch.randn(18000, 32)
    few,many = peak(precision_recall, x[:1000], x[1000:2000]),peak(precision_recall, x[:9000], x[9000:])
    assert few<30 and many<309/2, (few, many)

def mixture(learn, n): fit_prior(learn, dict(name='mixture', n=n), 0, draws=1)

def test_a_prior_fitted_again_is_kept_and_trained_on(binary, tmp_path):
    learn = fitted(binary)
    before = evaluate(learn, 'test').iloc[0]
    mixture(learn, 5)
    after = evaluate(learn, 'test').iloc[0]
    assert after.recon==pytest.approx(before.recon, abs=1e-4) and after.kl<before.kl
    vae = load_vae(save_vae(learn, tmp_path/'m'))
    assert isinstance(vae.prior, MixturePrior) and torch.allclose(vae.prior.mu, learn.model.prior.mu)
    mu = learn.model.prior.mu.detach().clone()
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    assert not torch.equal(mu, learn.model.prior.mu)

def test_a_ladder_of_one_level(binary):
    learn = vae_learner(binary, SmallDenseLadderVAE(binary.image_shape, (3,), encoder_widths=((32,),), decoder_widths=((32,),)))
    assert evaluate(learn, 'test', k=3).active.item()<=3
    mixture(learn, 2)
    assert isinstance(learn.model.prior, MixturePrior) and evaluate(vae_learner(binary, learn.model), 'test').kl.item()>0

class FixedVAE(SmallDenseVAE):
    def __init__(self, image_shape): super().__init__(image_shape, 2)

def test_a_prior_that_the_constructor_knows_nothing_of_is_kept(binary, tmp_path):
    learn = vae_learner(binary, FixedVAE(binary.image_shape))
    mixture(learn, 3)
    assert torch.equal(load_vae(save_vae(learn, tmp_path/'m')).prior.mu, learn.model.prior.mu)

def test_results_from_the_command_line(tmp_path, capsys):
    vae_results('list')
    assert 'mnist-vae' in capsys.readouterr().out
    res = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'vae_nbdev.results', 'mnist-vea'], capture_output=True, text=True, cwd=tmp_path,
                         env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])})
    assert res.returncode and "There is no recipe 'mnist-vea'" in res.stderr
    assert all((r.source or r.published is None) and r.epochs<=r.full_epochs for r in recipes.values())

def test_a_mixture_wants_as_many_latents_as_it_has_parts(binary):
    learn = fitted(binary)
    before = learn.model.prior
    with pytest.raises(ValueError, match='take fewer'): mixture(learn, 100_000)
    assert learn.model.prior is before

@pytest.mark.parametrize('objective,parts,beta', [(TotalCorrelation(6.), ['kl_mi', 'kl_tc', 'kl_dim'], 1.), (Capacity(5.), [], 30.), (IWAE(3), [], 1.)])
def test_parts_of_the_kl_are_logged_by_name(objective, parts, beta, binary):
    torch.manual_seed(0)
    learn = vae_learner(binary, SmallDenseVAE(binary.image_shape, 4), objective=objective)
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    t = learn.elbo_history.table
    assert t.columns.tolist()==['epoch', 'split', 'loss', 'recon', 'kl', 'beta', *parts] and (t.beta==beta).all()
    if parts: assert t[parts].sum(axis=1).tolist()==pytest.approx(t.kl.tolist(), rel=1e-5)

def test_pseudo_inputs_are_encoded_once_a_step(binary):
    vae,seen = SmallDenseVAE(binary.image_shape, 4, prior=dict(name='vamp', n=7)),[]
    vae.encoder.register_forward_hook(lambda net, args, out: seen.append(len(args[0])))
    x = binary.one_batch()[0]
    IWAE(3)(vae(x, draws=3), x, vae.likelihood)
    assert seen==[100,7]

def test_another_likelihood_is_where_the_model_is(binary):
    vae = SmallDenseVAE(binary.image_shape, 4).to('meta')
    vae.set_likelihood('normal', noise='learned')
    assert {o.device.type for o in (*vae.parameters(), *vae.buffers())}=={'meta'}
