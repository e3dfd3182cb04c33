"What a learner does with other objectives, loaders and fastai's entry points: works, or says at once what to do instead"
import inspect, tempfile, warnings
import numpy as np, pytest, torch
from fastai.callback.core import Callback
from fastai.callback.hook import ActivationStats
from fastai.callback.progress import CSVLogger, ShowGraphCallback
from fastai.callback.tensorboard import TensorBoardCallback
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.callback.training import GradientClip
from fastai.data.all import CategoryBlock, DataBlock, DataLoader, DataLoaders, RandomSplitter
from fastai.interpret import Interpretation
from fastai.learner import Learner
from fastai.vision.all import ImageBlock, PILImageBW
from torch import nn
import vae_nbdev
from vae_nbdev import *
from vae_nbdev.models.likelihoods import ContinuousBernoulliLikelihood

@pytest.fixture(scope='module')
def dls(): return image_dls('digits', binarize='threshold', bs=100, steps=5)

small = dict(latent_dim=3, encoder_widths=(32,), decoder_widths=(32,))

def learner(dls, model=None, **kw): return vae_learner(dls, SmallDenseVAE((1,8,8), **small) if model is None else model, path=tempfile.mkdtemp(), **kw)

def fit(learn, epochs=1, **kw):
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs, 1e-3, **kw)
    return learn

def weights(model): return torch.cat([p.detach().flatten() for p in model.parameters()])

# -- two learners of one model --------------------------------------------------------------------------------------------

def test_learners_of_one_model_do_not_meet(dls):
    m = SmallDenseVAE((1,8,8), **small)
    a,b,c = learner(dls, m, objective=IWAE(5)),learner(dls, m),learner(dls, m, objective=TotalCorrelation(3.))
    seen = {}
    for name,l in dict(a=a, b=b, c=c).items():
        fit(l)
        seen[name] = [*l.recorder.metric_names][3:-1],l.terms.loss.shape,l.objective.draws
    n,columns = (dls.valid.n%100,),['recon', 'kl', 'beta', 'elbo']
    parts = ['kl_mi', 'kl_tc', 'kl_dim']
    assert seen=={'a': (columns, n, 5), 'b': (columns, n, 1), 'c': (columns+parts, n, 1)} and [*c.elbo_history.table][-3:]==parts

def test_learners_of_one_objective_do_not_meet(dls):
    "Each has a copy, with a warm-up of its own"
    elbo = ELBO(2.)
    a,b = learner(dls, objective=elbo, cbs=BetaWarmup()),learner(dls, objective=elbo)
    class Looks(Callback):
        def after_batch(self): self.seen = a.objective.warmup,b.objective.warmup,elbo.warmup
    a.add_cb(looks := Looks())
    class Stops(Callback):
        def after_epoch(self): raise RuntimeError('after the first')
    with pytest.raises(RuntimeError): fit(a, 7, cbs=Stops())
    assert looks.seen==(0., 1., 1.)                                            # the first epoch of a rise over three
    assert a.objective.warmup==1. and a.objective.beta==2.

def test_an_objective_of_ones_own(dls):
    class Halves(Objective):
        "Black and white cost apart, and a term beside the bound"
        def __call__(self, outcome, x, likelihood):
            recon,kl = pixel_cost(outcome, x, likelihood),outcome.levels[0].kl()
            return Terms(recon+kl+.1*kl.square(), recon, dict(kl_first=.5*kl, kl_second=.5*kl), dict(square=.1*kl.square()))
    learn = fit(learner(dls, objective=Halves()), 2)
    assert [*learn.recorder.metric_names][3:-1]==['recon', 'kl', 'beta', 'elbo', 'kl_first', 'kl_second', 'square']
    row = dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))
    assert row['elbo']==pytest.approx(-row['recon']-row['kl'], abs=1e-3) and row['kl_first']==pytest.approx(row['kl']/2, abs=1e-3) and row['valid_loss']>-row['elbo']

# -- pairs -------------------------------------------------------------------------------------------------------------------

def labelled(n=80):
    d = load_dataset('digits')
    return list(zip(d.train_images[:n]/255, d.train_labels[:n]))

def test_labels_are_no_target(dls):
    "Batches of as many images as these have columns, where labels would be broadcast"
    pairs = DataLoaders.from_dsets(labelled(64), labelled(16), bs=8, device='cpu')
    learn = fit(learner(pairs, likelihood='normal'), 2)
    assert learn.terms.recon.isfinite().all() and learn.model.reconstruct(pairs.valid.one_batch()[0]).mean()<1
    targets = learn.get_preds()[1]
    assert targets.shape==(16,1,8,8)

@pytest.mark.parametrize('target', [(8,), (8,1), (8,8), (8,1,8), (8,1,1,1), (8,1,8,1), (8,3,8,8)])
def test_a_target_that_would_be_broadcast(target):
    m = SmallDenseVAE((1,8,8), **small)
    with pytest.raises(ValueError, match='learns from pairs'): ELBO()(m(torch.rand(8,1,8,8)), torch.rand(target), m.likelihood)

def test_noisy_and_clean_stay_a_pair():
    "A target that is another image of the same size is kept"
    ds = [(x, 1-x) for x,_ in labelled()]
    class Looks(Callback):
        def after_pred(self): assert torch.equal(self.yb[0], 1-self.xb[0])
    fit(learner(DataLoaders.from_dsets(ds[:64], ds[64:], bs=16, device='cpu'), likelihood='normal'), cbs=Looks())

def test_loaders_of_fastai_images():
    data = labelled(100)
    block = DataBlock((ImageBlock(PILImageBW), CategoryBlock), get_x=lambda i: (data[i][0][0]*255).byte().numpy(), get_y=lambda i: int(data[i][1]), splitter=RandomSplitter(.2, seed=1))
    dls = block.dataloaders(range(100), bs=20, device='cpu')
    learn = fit(vae_learner(dls, SmallDenseVAE((1,8,8), **small), likelihood='normal'))
    assert np.isfinite(learn.recorder.values[-1]).all() and evaluate(learn, 'valid').elbo.notna().all()

def loader(): return torch.utils.data.DataLoader(labelled(), 8)

@pytest.mark.parametrize('call,error,words', [
    (lambda m: vae_learner(loader(), m), TypeError, 'from_dsets'),
    (lambda m: vae_learner(DataLoaders(loader(), loader()), m), TypeError, 'from_dsets'),
    (lambda m: vae_learner(DataLoaders.from_dsets([(y, x) for x,y in labelled()], labelled(), bs=8, device='cpu'), m), ValueError, 'first part of a batch'),
    (lambda m: vae_learner(DataLoaders.from_dsets([((x*255).byte(), y) for x,y in labelled()], labelled(), bs=8, device='cpu'), m), ValueError, 'divide by 255'),
    (lambda m: vae_learner(DataLoaders.from_dsets([(x[:,:4], y) for x,y in labelled()], labelled(), bs=8, device='cpu'), m), ValueError, 'image_shape')])
def test_other_loaders_are_told(call, error, words):
    with pytest.raises(error, match=words): call(SmallDenseVAE((1,8,8), likelihood='normal', **small))

# -- what is better ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('cls', [SaveModelCallback, EarlyStoppingCallback, ReduceLROnPlateau])
@pytest.mark.parametrize('monitor,comp', [('recon', np.less), ('elbo', np.greater), ('valid_loss', np.less), ('train_loss', np.less)])
def test_columns_are_watched_in_their_direction(dls, cls, monitor, comp):
    in_fit,in_learner = cls(monitor, min_delta=.5),cls(monitor, min_delta=.5)
    fit(learner(dls, cbs=in_learner), cbs=in_fit)
    for cb in (in_fit, in_learner): assert cb.comp is comp and cb.min_delta==(-.5 if comp is np.less else .5) and np.isfinite(cb.best)

@pytest.mark.parametrize('model,monitor', [(SmallDenseVAE, 'kl'), (SmallDenseVAE, 'beta'), (SmallDenseLadderVAE, 'kl_z1')])
def test_columns_without_a_direction_are_refused(dls, model, monitor):
    learn = learner(dls, model((1,8,8)))
    with pytest.raises(ValueError, match='neither better nor worse'): fit(learn, cbs=SaveModelCallback(monitor))
    keep = EarlyStoppingCallback(monitor, comp=np.less)
    fit(learn, cbs=keep)
    assert keep.comp is np.less

def test_the_best_epoch_is_kept(dls):
    class Worsens(Callback):
        order = 55                                                              # before those that watch
        def after_epoch(self): self.recorder.values[-1][2] = [3., 1., 2.][self.epoch]
    keep = SaveModelCallback('recon')
    fit(learner(dls, cbs=[keep, Worsens()]), 3)
    assert keep.best==1.

# -- freezing ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('part,kw', [('head', {}), ('likelihood', dict(likelihood='normal', noise='learned')), ('prior', dict(prior=dict(name='vamp', n=5)))])
def test_fine_tuning_by_freezing(dls, part, kw):
    m = SmallDenseVAE((1,8,8), **small, **kw)
    def moved(learn):
        before = weights(getattr(m, part)); fit(learn)
        return not torch.equal(before, weights(getattr(m, part)))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')                                         # a Bernoulli of grey images and the like
        getattr(m, part).requires_grad_(False)
        learn = learner(dls, m)
        assert not moved(learn)
        getattr(m, part).requires_grad_(True)
        with pytest.raises(ValueError, match='were frozen when it was made.*create_opt'): fit(learn)
        learn.create_opt()
        assert moved(learn)
        getattr(m, part).requires_grad_(False)                                  # after the optimiser
        assert not moved(learn)
    m.set_prior('mixture')
    with pytest.raises(ValueError, match='came later, with another likelihood or prior'): fit(learn)

def test_another_likelihood_counts_from_the_next_batch(dls):
    "Where it brings no weights, so that the optimiser knows them all"
    learn = fit(learner(dls, precision='fp32'))
    learn.model.set_likelihood('continuous_bernoulli')
    with learn.no_bar(): said = learn.validate()
    assert said[1]==pytest.approx(evaluate(learn, 'test').recon.item(), abs=.5) and fit(learn).terms.loss.isfinite().all()
    x = split_images(dls)
    out = learn.model(x)
    assert torch.equal(ELBO()(out, x, learn.model.likelihood).recon, -ContinuousBernoulliLikelihood((1,8,8)).log_prob(out.params, x))

def test_a_stream_of_unknown_length_has_no_total_correlation(dls):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self): return iter([(x, x) for x in split_images(dls)[:64]])
    stream = DataLoaders(DataLoader(Stream(), bs=8), DataLoader(Stream(), bs=8), device='cpu')
    assert config(learner(stream).objective)['name']=='ELBO'
    with pytest.raises(ValueError, match='number of training images'): learner(stream, objective=TotalCorrelation(3.))

# -- fastai's entry points -------------------------------------------------------------------------------------------------------

entry = dict(
    show_results=lambda l: l.show_results(max_n=4), get_preds=lambda l: l.get_preds(with_loss=True, with_decoded=True, with_input=True), train_preds=lambda l: l.get_preds(ds_idx=0),
    tensorboard=lambda l: fit(l, 2, cbs=TensorBoardCallback(tempfile.mkdtemp())), lr_find=lambda l: l.lr_find(show_plot=False), sgdr=lambda l: l.fit_sgdr(1, 1), fine_tune=lambda l: l.fine_tune(1),
    summary=lambda l: l.summary(), freeze=lambda l: (l.freeze(), fit(l), l.unfreeze(), fit(l)), save=lambda l: (l.save('m'), l.load('m')), csv=lambda l: fit(l, cbs=CSVLogger(tempfile.mkdtemp()+'/h.csv')),
    clip=lambda l: fit(l, cbs=GradientClip()), stats=lambda l: fit(l, cbs=ActivationStats()), graph=lambda l: l.fit(1, cbs=ShowGraphCallback()), train=lambda l: l.validate(dl=l.dls.train),
    test_dl=lambda l: l.get_preds(dl=l.dls.test_dl(l.dls.images.test_images[:5])))

@pytest.mark.parametrize('name', entry)
def test_entry_points_work(dls, name, capsys): entry[name](learner(dls))

@pytest.mark.parametrize('call,words', [(lambda l: l.predict(l.dls.images.test_images[0]), 'reconstruct'), (lambda l: l.tta(), 'evaluate'), (lambda l: l.export(), 'save_vae'),
    (lambda l: Interpretation.from_learner(l).plot_top_losses(4), 'topk'), (lambda l: Interpretation.from_learner(l).show_results([0, 1]), 'topk')])
def test_entry_points_name_what_to_call(dls, call, words):
    learn = learner(dls)
    with learn.no_bar(), pytest.raises(NotImplementedError, match=words): call(learn)

# -- signatures ----------------------------------------------------------------------------------------------------------------

models = [o for o in map(vars(vae_nbdev).get, vae_nbdev.__all__) if inspect.isclass(o) and issubclass(o, nn.Module) and not issubclass(o, (Likelihood, Prior))]

@pytest.mark.parametrize('cls', models, ids=lambda c: c.__name__)
def test_signatures_tell_the_arguments(cls):
    kinds = [p.kind for p in inspect.signature(cls).parameters.values()]
    assert inspect.Parameter.VAR_KEYWORD not in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds, inspect.signature(cls)
    if issubclass(cls, AutoEncoder): assert next(iter(inspect.signature(cls).parameters))=='image_shape'

class Own(VAE):
    def __init__(self, image_shape, width=30): self.width = width; super().__init__(image_shape, 2)

def test_signature_of_ones_own(): assert str(inspect.signature(Own))=='(image_shape, width=30)'

def test_predictions_of_several_draws_are_one_an_image(dls):
    learn = learner(dls, objective=IWAE(3), precision='fp32')
    (params,z),targets,losses = learn.get_preds(with_loss=True)
    assert params.shape==targets.shape==(360,1,8,8) and z.shape==(360,3) and losses.shape==(360,)
    assert torch.equal(targets, split_images(dls, 'valid'))
    codes = lambda x: x.flatten(1)[:,20:23]                                            # a posterior that tells images apart, almost without noise
    learn.model.features = lambda x: [x]
    learn.model.stages[0].posterior = lambda h, context, p: torch.distributions.Normal(codes(h), 1e-6)
    own = learn.get_preds()[0][0]
    assert torch.allclose(own, learn.model.decode(codes(targets)).detach(), atol=1e-3) and own.std(0).max()>.01
