"What analysis must not get silently wrong: controls that cannot work, classes that are missing, where a gradient is taken, few images"
import matplotlib.pyplot as plt, numpy as np, pytest, torch, warnings
from dataclasses import replace
from vae_nbdev import *
from vae_nbdev.analyse.quality import frechet_distance

@pytest.fixture(scope='module')
def digits(): return load_dataset('digits')

def learner(images, **kwargs):
    torch.manual_seed(0)
    dls = image_dls(images, **kwargs)
    return vae_learner(dls, SmallDenseVAE(dls.image_shape, 4), likelihood='normal', noise=.1)

def of_classes(images, train, test=range(10)):
    "Images of these classes alone, the vocabulary left as it is"
    keep = {s: torch.isin(getattr(images, f'{s}_labels'), torch.tensor(list(c))) for s,c in dict(train=train, test=test).items()}
    return replace(images, **{f'{s}_{o}': getattr(images, f'{s}_{o}')[k] for s,k in keep.items() for o in ('images', 'labels')})

def normalised(x): return (x-x.mean((1,2,3), keepdim=True))/x.std((1,2,3), keepdim=True).clamp(min=1e-4)

@pytest.mark.parametrize('how,passes', [
    (dict(), True), (dict(whiten=.1), True), (dict(contrast='image'), True), (dict(binarize='sample'), True), (dict(binarize='sample', whiten=.1), True),
    (dict(binarize='threshold'), False), (dict(binarize='threshold', whiten=.1), False), (dict(batch_tfms=[normalised]), False)])
def test_contrast_is_read_only_where_it_reaches_the_network(digits, how, passes):
    learn = learner(digits, **how)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        c,d = latent_correlations(learn, n=100),decodability(learn, n=100)
    said = [str(o.message) for o in seen if 'contrast is left out' in str(o.message)]
    assert ('random contrast' in c)==('contrast' in d.index.get_level_values(0))==passes and len(said)==(0 if passes else 2)
    assert set(digits.vocab)<=set(c) and 'label' in d.index.get_level_values(0)
    if passes: assert d.score['contrast','pixels']>.3
    else: assert "binarize='sample'" in said[0]

@pytest.mark.parametrize('f', [latent_correlations, decodability])
def test_nothing_to_read_is_an_error(digits, f):
    bare = replace(digits, train_labels=None, test_labels=None, vocab=None)
    with pytest.raises(ValueError, match="no labels; the loaders remove contrast.*binarize='sample'"): f(learner(bare, binarize='threshold'))
    with pytest.raises(ValueError, match="one class, '3'.*; the loaders remove contrast"): f(learner(of_classes(digits, [3], [3]), binarize='threshold'))

def test_one_class_leaves_contrast(digits):
    learn = learner(of_classes(digits, [3], [3]))
    with pytest.warns(UserWarning, match="label is left out: all .* of one class, '3'"): d = decodability(learn, n=100)
    assert set(d.index.get_level_values(0))=={'contrast'}
    with pytest.warns(UserWarning, match='label is left out'): assert list(latent_correlations(learn))==['random contrast']
    with pytest.warns(UserWarning, match='3 of the 6 images: give a larger n'): decodability(learner(digits), n=6)
    assert isinstance(learn.plot_embedding(n=30, perplexity=5, max_iter=250), plt.Figure)

def test_the_vocabulary_gives_the_columns(digits):
    c = latent_correlations(learner(of_classes(digits, range(10), [1,5])))
    assert list(c)==[*digits.vocab, 'random contrast'] and c[['1','5']].notna().all().all() and c.drop(columns=['1','5','random contrast']).isna().all().all()
    twice = latent_correlations(learner(replace(digits, vocab=['even','odd']*5)))                     # classes of one name are one
    assert list(twice)==['even', 'odd', 'random contrast'] and np.allclose(twice['even'], -twice['odd'])

def test_classes_without_training_images(digits):
    learn = learner(of_classes(digits, [0,1]))
    with pytest.warns(UserWarning, match="of classes that no training image is of .*'9'"): d = decodability(learn, n=100)
    assert d.score['label','pixels']<.5
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert sample_quality(learn, feature_net(learn.dls, epochs=1)).fid.notna().all()

def test_a_feature_net_needs_two_classes(digits):
    with pytest.raises(ValueError, match="one class, '3'"): sample_quality(learner(of_classes(digits, [3])))

def test_fid_of_few_images_says_so():
    a = torch.randn(300, 32)
    with pytest.warns(UserWarning, match='50 images in 32 features'): frechet_distance(a[:50], a)
    with warnings.catch_warnings(): warnings.simplefilter('error'); frechet_distance(a[:64], a)
    with pytest.raises(ValueError, match='2 features or more'): frechet_distance(a[:1], a)

@pytest.mark.parametrize('values,words', [([2.]*60, 'only one value, 2, in 60 images: leave it out'), ([np.nan]*60, 'NaN for all 60 images: leave it out'),
                                          ([np.nan]*50+[1.]*10, 'only one value, 1, in 10'), ([np.inf]+list(range(59)), 'infinite for 1 images')])
def test_factors_that_say_nothing(values, words):
    with pytest.raises(ValueError, match=words): disentangle(torch.randn(60, 3), dict(f=values))

@pytest.fixture(scope='module')
def bent():
    "Two layers of ReLUs, trained for a second"
    torch.manual_seed(0)
    dls = image_dls('digits', bs=100, steps=60)
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 8), likelihood='normal', noise=.1)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(3, 3e-3)
    return learn

def test_fields_are_those_at_the_mean_image(bent):
    mean = split_images(bent.dls, 'train').mean(0)
    fields = receptive_fields(bent)
    assert torch.allclose(fields, receptive_fields(bent.model, mean), atol=1e-5) and not torch.allclose(fields, receptive_fields(bent, torch.zeros(1,8,8)), atol=.01)
    with pytest.raises(ValueError, match='A model alone knows no images'): receptive_fields(bent.model)
    with pytest.raises(ValueError, match='A model alone knows no images'): bent.model.plot_receptive_fields()
    white = learner('digits', whiten=.1)
    assert torch.allclose(receptive_fields(white), receptive_fields(white, torch.zeros(1,8,8)), atol=1e-3)     # whitened images have mean 0

def test_reverse_correlation_is_the_gradient(bent):
    state = torch.get_rng_state()
    with bent.no_bar(): a,b = (reverse_correlation(bent, n=2000) for _ in range(2))
    assert torch.equal(a, b) and torch.equal(state, torch.get_rng_state())
    agree = torch.cosine_similarity(a.flatten(1), receptive_fields(bent).flatten(1))
    assert agree.min()>.9, agree
    linear = DenseLadderVAE((1,8,8), (6,2), linear_encoder=True, encoder_widths=((16,),(8,)), decoder_widths=((16,),(8,)))
    x = torch.rand(1,8,8)
    assert torch.allclose(reverse_correlation(linear, x, n=200), receptive_fields(linear, x), atol=1e-4)       # exact, however few
    upper = torch.cosine_similarity(*(f.flatten(1) for f in (reverse_correlation(linear, x, 1, 2000, .02), receptive_fields(linear, x, 1))))
    assert upper.min()>.9, upper
    with pytest.raises(ValueError, match='more than the 64 pixels, not 64'): reverse_correlation(bent, n=64)
    assert isinstance(bent.plot_receptive_fields(fields=a), plt.Figure)

def colours(fig): return {tuple(np.round(o.get_facecolor()[0], 3)) + (len(o.get_paths()[0].vertices),) for o in fig.axes[0].collections}

def test_more_classes_than_ten_are_told_apart(digits):
    many = replace(digits, vocab=[str(i) for i in range(20)], **{f'{s}_labels': getattr(digits, f'{s}_labels')*2+torch.arange(len(getattr(digits, f'{s}_labels')))%2 for s in ('train','test')})
    learn,before = learner(many),plt.get_fignums()
    assert len(colours(learn.plot_embedding(n=None, max_iter=250)))==20
    lines = learn.plot_latent_correlations().axes[0].lines
    assert len({str((o.get_color(), o.get_marker())) for o in lines if o.get_marker()!='None'})==21
    learn.plot_level_correlations(0, 0); learn.plot_receptive_fields(); learn.plot_decodability(n=100)
    assert plt.get_fignums()==before                                                                            # nothing is left open

def test_tables_are_shown_rounded(digits):
    learn = learner(digits)
    net = feature_net(learn.dls, epochs=1)
    for t in (latent_correlations(learn), level_correlations(learn, 0, 0), decodability(learn, n=100), sample_quality(learn, net),
              disentanglement(learn, dict(label=digits.test_labels)), embed_latents(learn, n=30, perplexity=5, max_iter=250)): assert isinstance(t, ResultTable)

def test_other_images_meet_the_learners_transforms(digits):
    learn = learner(digits, whiten=.1)
    own,other = level_correlations(learn, 0, 0),level_correlations(learn, 0, 0, dls=digits.test_images)
    assert np.allclose(own.values, other.values, atol=1e-4)
    assert 'random contrast' in latent_correlations(learn, dls=digits.test_images) and len(embed_latents(learn, n=30, dls=digits.test_images, perplexity=5, max_iter=250))==30
    for f in (latent_correlations, lambda l, dls: level_correlations(l, 0, 0, dls=dls), lambda l, dls: embed_latents(l, n=30, dls=dls, perplexity=5, max_iter=250)):
        with pytest.warns(UserWarning, match='change their images otherwise'): f(learn, dls=image_dls(digits))
