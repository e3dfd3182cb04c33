"The estimators: against exact answers, within their memory, and with wrong input"
import os, subprocess, sys, pytest, torch
from pathlib import Path
from vae_nbdev import *

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
    assert a.nll==b.nll and a.mse==b.mse
    assert evaluate(learn, 'test', seed=1).nll.item()!=a.nll

def test_columns_where_there_is_no_prior(binary):
    learn = vae_learner(binary, DenseAutoEncoder(binary.image_shape, 2))
    e = evaluate(learn, 'test')
    assert 'bpd' not in e and 'active' not in e
    with pytest.raises(TypeError, match='k is for a VAE'): evaluate(learn, k=10)
    for f in (sample_quality, refit_prior): pytest.raises(TypeError, f, learn)

@pytest.mark.parametrize('kwargs,match', [(dict(k=0), 'draws'), (dict(k=2.5), 'draws'), (dict(k=5, memory=0), 'memory'), (dict(n=1), 'from 2'), (dict(splits=('train', 'tset')), "'test'")])
def test_wrong_arguments(kwargs, match, learn):
    before = learn.model.training
    with pytest.raises(ValueError, match=match): evaluate(learn, **kwargs)
    assert learn.model.training==before

def test_an_error_leaves_the_mode_as_it_was(learn):
    learn.model.train()
    with pytest.raises(ValueError): evaluate(learn, k=5, memory=-1)
    assert learn.model.training

@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='the peak of memory is told by Linux')
def test_draws_stay_within_their_memory(tmp_path):
    "A process of its own, whose largest size before and after tells what 64 images at 1,000 draws take"
    code = """
import re, torch
from pathlib import Path
from vae_nbdev import *
vae,x = DenseVAE((1,28,28), 16).eval(),torch.rand(64,1,28,28).round()
def mb(what): return int(re.search(what+r':\\s+(\\d+)', Path('/proc/self/status').read_text())[1])/1024
def taken(memory):
    Path('/proc/self/clear_refs').write_text('5')                    # the peak begins anew
    before = mb('VmRSS'); log_likelihood(vae, x, 1000, memory=memory); return mb('VmHWM')-before
taken(1); small,large = taken(16),taken(400)
vae.set_prior(dict(name='vamp', n=500)); print(small, large, taken(16))
"""
    small,large,mixture = map(float, subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]).stdout.split())
    assert small<16+8 and mixture<16+8 and 100<large<400, (small, large, mixture)

def test_a_prior_fitted_again_is_kept_and_trained_on(binary, tmp_path):
    learn = fitted(binary)
    before = evaluate(learn, 'test').iloc[0]
    refit_prior(learn, 5)
    after = evaluate(learn, 'test').iloc[0]
    assert after.nll==pytest.approx(before.nll, abs=1e-4) and after.kl<before.kl
    vae = load_vae(save_vae(learn, tmp_path/'m'))
    assert isinstance(vae.prior, MixturePrior) and torch.allclose(vae.prior.mu, learn.model.prior.mu)
    mu = learn.model.prior.mu.detach().clone()
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    assert not torch.equal(mu, learn.model.prior.mu)

def test_a_ladder_of_one_level(binary):
    learn = vae_learner(binary, SmallDenseLadderVAE(binary.image_shape, (3,), encoder_widths=((32,),), decoder_widths=((32,),)))
    assert evaluate(learn, 'test', k=3).active.item()<=3
    with pytest.raises(TypeError, match='one level'): refit_prior(learn)
    with pytest.raises(TypeError, match='own prior'): learn.model.set_prior('mixture')

class FixedVAE(SmallDenseVAE):
    def __init__(self, image_shape): super().__init__(image_shape, 2)

def test_a_prior_that_the_constructor_knows_nothing_of_is_kept(binary, tmp_path):
    learn = vae_learner(binary, FixedVAE(binary.image_shape))
    refit_prior(learn, 3)
    assert torch.equal(load_vae(save_vae(learn, tmp_path/'m')).prior.mu, learn.model.prior.mu)

def test_results_from_the_command_line(tmp_path):
    run = lambda *args: subprocess.run([sys.executable, '-W', 'ignore', '-m', 'vae_nbdev.results', *args], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1])})
    assert 'mnist-vae' in run('list').stdout
    res = run('mnist-vea')
    assert res.returncode and "There is no recipe 'mnist-vea'" in res.stderr
    assert all(r.source and r.epochs<=r.full_epochs for r in recipes.values())
