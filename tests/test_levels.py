"Analysis of levels: flat models, three levels, colour, no labels, loaders of other images, wrong input"
import numpy as np, pytest, torch
from dataclasses import replace
from matplotlib.figure import Figure
from vae_nbdev import *

pytestmark = pytest.mark.filterwarnings('ignore:contrast is left out')             # the digits are binarised at a threshold

widths = dict(encoder_widths=((32,),(16,),(16,)), decoder_widths=((32,),(16,),(16,)))

def fitted(dls, model):
    learn = vae_learner(dls, model)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(2, 3e-3)
    return learn

@pytest.fixture(scope='module')
def dls(): return image_dls('digits', bs=100, binarize='threshold', steps=60)

@pytest.fixture(scope='module')
def deep(dls):
    torch.manual_seed(0)
    return fitted(dls, DenseLadderVAE(dls.image_shape, (6,4,2), **widths))

@pytest.fixture(scope='module')
def flat(dls):
    torch.manual_seed(0)
    return fitted(dls, SmallDenseVAE(dls.image_shape, 5))

@pytest.fixture(scope='module')
def unlabelled():
    "Colour patches without labels"
    torch.manual_seed(0)
    images = replace(load_dataset('natural', n=1000, size=8, color=True), train_labels=None, test_labels=None, vocab=None)
    dls = image_dls(images, bs=100, steps=5)
    return vae_learner(dls, SmallDenseLadderVAE(dls.image_shape, (6,2)), likelihood='normal', noise=.1)

def test_correlations(deep, flat, unlabelled):
    for learn,n in ((deep, 12), (flat, 5), (unlabelled, 8)):
        c = latent_correlations(learn)
        assert len(c)==n and np.isfinite(c.values).all() and c.abs().values.max()<=1
    assert list(latent_correlations(unlabelled).columns)==['random contrast']
    assert level_correlations(deep, 1, 2).shape==(4,2)
    assert np.allclose(level_correlations(deep, 0, 0).values.diagonal(), 1)

def test_a_latent_that_never_moves_correlates_with_nothing(dls):
    model = SmallDenseVAE(dls.image_shape, 5)
    with torch.no_grad(): model.stages[0].from_image.layer.weight[0] = 0
    c = latent_correlations(vae_learner(dls, model))
    assert (c.iloc[0]==0).all() and c.iloc[1:].abs().values.max()>0

def test_draws_of_middle_levels(deep, dls):
    x = split_images(dls)[3]
    for level,d in enumerate(deep.model.latent_dims[:-1]):
        t = top_down_draws(deep, x, level, n=7)
        assert len(t)==7*d
        p = 1/t.xs('std', axis=1, level=1)**2
        assert np.allclose(p['combined'], p['bottom-up']+p['top-down'], rtol=1e-4)
    state = torch.get_rng_state()
    top_down_draws(deep, x, n=3)
    assert torch.equal(state, torch.get_rng_state())

def test_decodability(deep, flat, unlabelled):
    d = decodability(deep, n=300)
    assert d.score['label','pixels']>.7>.2>d.chance['label'].max() and d.score['label','z1']>d.chance['label','z1']+3*d.se['label','z1']
    assert list(d.loc['label'].index)==['z1','z2','z3','pixels','6 components','4 components','2 components'] and (d.se>0).all()
    assert set(decodability(flat, n=100).index.get_level_values(0))=={'label'}
    assert set(decodability(unlabelled, n=100).index.get_level_values(0))=={'contrast'}

def test_labels_without_a_meaning_are_read_by_chance(dls):
    images,g = load_dataset('digits'),torch.Generator().manual_seed(0)
    mixed = replace(images, **{f'{k}_labels': y[torch.randperm(len(y), generator=g)] for k in ('train','test') if (y := getattr(images, f'{k}_labels')) is not None})
    learn = vae_learner(image_dls(mixed, binarize='threshold'), SmallDenseVAE(dls.image_shape, 5))
    d = decodability(learn, n=None).loc['label']
    assert ((d.score-.1).abs()<4*(.1*.9/360)**.5).all(), d

def test_other_loaders(deep):
    other = image_dls('digits', bs=50)
    assert not latent_correlations(deep, dls=other).equals(latent_correlations(deep))
    with pytest.raises(ValueError, match='The images are'): latent_correlations(deep, dls=image_dls('digits', size=12))

def test_receptive_fields(deep, flat, unlabelled):
    assert receptive_fields(deep, level=2).shape==(2,1,8,8) and receptive_fields(flat).shape==(5,1,8,8)
    assert len(fit_gabors(receptive_fields(unlabelled)))==6
    deep.model.train(); receptive_fields(deep); assert deep.model.training

def test_pictures(deep, flat, unlabelled, tmp_path):
    for f in (deep.plot_latent_correlations(), flat.plot_latent_correlations(), unlabelled.plot_latent_correlations(), deep.plot_level_correlations(1, 2), deep.plot_top_down(level=1, n=5),
              flat.plot_embedding(n=60, perplexity=5, max_iter=250), unlabelled.plot_embedding(n=60, perplexity=5, max_iter=250), unlabelled.plot_decodability(n=100), unlabelled.plot_receptive_fields(save=tmp_path/'f.png'),
              flat.model.plot_receptive_fields(split_images(flat.dls)[0])): assert isinstance(f, Figure)
    assert (tmp_path/'f.png').stat().st_size>5000

def test_umap(deep):
    pytest.importorskip('umap')
    assert embed_latents(deep, 'umap', n=60, n_neighbors=5).groupby('level').size().tolist()==[60,60,60]

@pytest.mark.parametrize('call,error,words', [
    (lambda l: l.plot_top_down(level=2), ValueError, '0 to 1, not 2'),
    (lambda l: top_down_draws(l, torch.zeros(1,1,8,8)), ValueError, 'one image of shape'),
    (lambda l: level_correlations(l, 0, 3), ValueError, 'level is one of 3'),
    (lambda l: latent_correlations(l, 'tests'), ValueError, "not 'tests'"),
    (lambda l: embed_latents(l, 'pca'), ValueError, "not 'pca'"),
    (lambda l: receptive_fields(l.model, level=3), ValueError, 'level is one of 3'),
    (lambda l: receptive_fields(DenseAutoEncoder((1,8,8), 2)), TypeError, 'needs a VAE'),
    (lambda l: fit_gabors(torch.zeros(8,8)), ValueError, 'N x C x H x W'),
    (lambda l: decodability(vae_learner(l.dls, DenseAutoEncoder(l.dls.image_shape, 2, encoder_widths=(8,), decoder_widths=(8,)))), TypeError, 'needs a VAE'),
    (lambda l: l.plot_latent_correlations(n=0), ValueError, 'n is a number of images')])
def test_wrong_input(call, error, words, deep):
    with pytest.raises(error, match=words): call(deep)
