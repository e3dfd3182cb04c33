"What evaluation sees, what tables and figures show: each image once, as it is, and every number of what it says"
import io, warnings, numpy as np, pandas as pd, pytest, torch
import matplotlib.pyplot as plt
from fastai.learner import Learner
from fastai.vision.all import (CategoryBlock, DataBlock, ImageBlock, IndexSplitter, PILImageBW, RandomResizedCrop, aug_transforms,
                               get_image_files, noop)
from PIL import Image
from vae_nbdev import *
from vae_nbdev.analyse.drawing import class_colors
from vae_nbdev.analyse.components import pca_error

@pytest.fixture(scope='module')
def digits(): return image_dls('digits', bs=100, binarize='threshold')

@pytest.fixture(scope='module')
def learn(digits):
    torch.manual_seed(0)
    return vae_learner(digits, SmallDenseVAE(digits.image_shape, 4))

# --- tables

def table(): return ResultTable(dict(data='digits', samples=1, images=[12345,360], recon=[344.44331,-.04], kl_z1=[10.26,5.], elbo=[-355.5544331,1.], elbo_se=[.12345,.2],
                               bpd=[3.14159,3.], mse=[.0123456,.01]), index=pd.Index(['train','test'], name='split'))

def test_tables_show_rounded_numbers_and_keep_whole_ones():
    t = table()
    assert t.elbo['train']==-355.5544331
    for part in (t, t.loc[['train']], t.iloc[:1], t[['recon','elbo']], t[t.images>400], pd.concat([t, t]), t.copy()): assert type(part) is ResultTable
    text = repr(t)
    assert text.splitlines()[0]=='data digits, 1 sample'
    for shown in ('12,345', '344.4', '10.3', '-355.6', '0.12', '3.142', '0.0123'): assert f' {shown}' in text, shown
    assert '0.01234' not in text and '-0.0' not in text and 'digits' not in text.split('\n', 1)[1]
    assert '-355.6' in repr(t.T)

def test_tables_are_right_aligned_with_and_without_styles():
    page,md = table()._repr_html_(),table()._repr_markdown_()
    assert page.count('<td align="right" style="text-align:right')==14 and page.count('<td align="left"')==2 and 'tabular-nums' in page
    assert md.splitlines()[0]=='data digits, 1 sample' and md.splitlines()[3].startswith('| :--- | ---: |') and '| train | 12,345 | 344.4 |' in md

def test_tables_say_what_is_missing_and_escape_what_is_text():
    t = ResultTable(dict(name=['<b>', 'a|b'], mig=[float('nan'), .5], n=[pd.NA, 3]))
    assert 'nan' in repr(t) and '&lt;b&gt;' in t._repr_html_() and r'a\|b' in t._repr_markdown_()
    fine = ResultTable(dict(kl=[.1234, 2.])); fine.attrs['decimals'] = dict(kl=2)
    assert '0.12' in repr(fine) and '0.12' in repr(fine.iloc[:1])
    assert len(ResultTable(dict(x=range(1000)))._repr_html_())<20_000

def test_the_numbers_of_an_evaluation_are_shown_rounded(learn):
    e = evaluate(learn, 'test')
    assert type(e) is ResultTable and type(latent_stats(learn, n=100)) is ResultTable
    assert f'{e.elbo.item():.1f}' in repr(e) and f'{e.elbo.item():.2f}' not in repr(e)
    assert 'data digits, binarize threshold, 360 images, 1 sample' in repr(e)

# --- what evaluation sees

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('files')
    for i,x in enumerate(load_dataset('digits').train_images[:40]): Image.fromarray(x[0].numpy()).resize((12,12)).save(path/f'{i%4}_{i:02}.png')
    return path

def files(folder, target=ImageBlock(PILImageBW), get_y=noop, **kwargs):
    block = DataBlock((ImageBlock(PILImageBW), target), get_items=get_image_files, get_y=get_y, splitter=IndexSplitter(range(10)), **kwargs)
    return block.dataloaders(folder, bs=8, num_workers=0)

@pytest.mark.parametrize('tfms', [dict(batch_tfms=aug_transforms(min_zoom=1.5, max_zoom=2.)), dict(item_tfms=RandomResizedCrop(12, min_scale=.3))])
def test_no_evaluation_sees_augmented_images(folder, tfms):
    dls = files(folder, **tfms)
    plain = torch.cat([b[0].as_subclass(torch.Tensor) for b in dls.test_dl(dls.train.items)])                 # as fastai predicts
    assert torch.allclose(split_images(dls, 'train'), plain, atol=1e-5) and type(split_images(dls, 'train')) is torch.Tensor
    stream = iter(dls.train)
    next(stream); split_images(dls, 'train')                                            # in the middle of an epoch
    assert not any(torch.allclose(o, p, atol=1e-3) for o in next(stream)[0] for p in plain)
    model = SmallDenseVAE((1,12,12), 2)
    learn = Learner(dls, model, loss_func=noop)
    e = evaluate(learn, 'train')
    assert e.images.item()==30 and e.mse.item()==pytest.approx((model.reconstruct(plain)-plain).square().mean().item(), rel=1e-4)
    assert e.pca_mse.item()==pytest.approx(pca_error(dls, 2, 'train')) and evaluate(learn, 'train', n=5).images.item()==5
    assert torch.allclose(split_codes(learn, 'train', None).images, plain, atol=1e-5)
    fig = learn.plot_reconstructions(4)
    assert np.allclose(fig.axes[0].images[0].get_array()[1:13,1:13,0], plain[0,0], atol=.01)                           # decoded as fastai does

def test_loaders_with_labels_are_taken_and_those_without_images_told(folder):
    dls = files(folder, CategoryBlock, lambda f: f.name[0], batch_tfms=aug_transforms(min_zoom=1.5, max_zoom=2.))
    assert torch.allclose(split_images(dls, 'train'), split_images(files(folder), 'train'), atol=1e-5)
    wrong = DataBlock((CategoryBlock, ImageBlock(PILImageBW)), get_items=get_image_files, get_x=lambda f: f.name[0], get_y=noop,
                      splitter=IndexSplitter(range(10))).dataloaders(folder, bs=8, num_workers=0)
    learn = Learner(wrong, SmallDenseVAE((1,12,12), 2), loss_func=noop)
    for f in (lambda: split_images(wrong), lambda: evaluate(learn), lambda: split_codes(learn), lambda: pca_error(wrong, 2)):
        with pytest.raises(TypeError, match=r'first part of a batch is images.*image_dls'): f()

def test_the_encoder_sees_an_image_once(digits):
    for model in (SmallDenseVAE(digits.image_shape, 2), SmallDenseLadderVAE(digits.image_shape, (4,2))):
        learn,seen = vae_learner(digits, model),[]
        first = next(m for m in model.modules() if isinstance(m, torch.nn.Linear))
        hook = first.register_forward_hook(lambda m, args, out: seen.append(len(out)))
        evaluate(learn, 'test', pca=False)
        hook.remove()
        assert sum(seen)==360 and 'encode' not in vars(model) and 'features' not in vars(model)

def test_principal_components_of_large_images_only_when_asked_for():
    dls = image_dls(Images(name='colour', train_images=torch.randint(256, (150,3,32,32), dtype=torch.uint8), test_images=torch.randint(256, (20,3,32,32), dtype=torch.uint8)), bs=50)
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal')
    assert 'pca_mse' not in evaluate(learn) and not hasattr(dls, 'principal')
    small = image_dls('digits', bs=100)
    learn = vae_learner(small, SmallDenseVAE(small.image_shape, 2), likelihood='normal')
    assert 'pca_mse' in evaluate(learn) and 'pca_mse' not in evaluate(learn, pca=False)

# --- images of others

@pytest.fixture(scope='module')
def white(): dls = image_dls('digits', bs=100, whiten=.1); return vae_learner(dls, SmallDenseVAE(dls.image_shape, 3), likelihood='normal')

def test_other_images_go_through_the_learners_own_transforms(white):
    x = load_dataset('digits').test_images[:60]
    own = split_images(white.dls)[:60]
    for given in (x, x.numpy(), as_images(x, test_pct=None), image_dls(x, like=white.dls)):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            codes = split_codes(white, n=None, dls=given)
        assert torch.allclose(codes.images, own, atol=1e-4)
    assert latent_stats(white, n=None, dls=x).equals(latent_stats(white, n=None, dls=image_dls(x, like=white.dls)))
    assert torch.allclose(explore(white, x).images, own, atol=1e-4)

def test_loaders_that_change_images_otherwise_are_told_of(white):
    for f in (split_codes, latent_stats):
        with pytest.warns(UserWarning, match=r'like=learn\.dls'): f(white, n=50, dls=image_dls('digits', bs=100))
    with pytest.warns(UserWarning, match=r'like=learn\.dls'): explore(white, image_dls('digits', bs=100), n=50)

# --- figures

def test_no_figure_stays_open(learn, tmp_path):
    for i in range(22): learn.plot_samples(2, save=tmp_path/f'{i}.png' if i%2 else None)
    for f in (learn.plot_reconstructions, learn.plot_traversal, learn.plot_latent_scatter, learn.plot_latent_stats): f()
    load_dataset('digits').show()
    assert not plt.get_fignums()

def test_a_figure_can_be_given_a_window(learn):
    fig = learn.plot_samples(2)
    fig.show(warn=False)
    assert len(plt.get_fignums())==1 and plt.gcf() is fig

def labelled(n):
    "Twice `n` digits with `n` classes"
    x = load_dataset('digits').train_images[:2*n]
    y = torch.arange(2*n)%n
    dls = image_dls(Images(name='kinds', train_images=x, test_images=x, train_labels=y, test_labels=y, vocab=[f'k{i}' for i in range(n)]), bs=2)
    return vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal')

@pytest.mark.parametrize('n', [10, 15, 26, 62])
def test_classes_are_told_apart(n):
    fig = labelled(n).plot_latent_scatter()
    looks = {(tuple(o.get_facecolor()[0]), o.get_paths()[0].vertices.tobytes()) for o in fig.axes[0].collections}
    assert len(looks)==n and len(fig.axes[0].get_legend().get_texts())==n

def test_more_classes_than_a_legend_can_hold_are_counted():
    fig = labelled(70).plot_latent_scatter()
    assert fig.axes[0].get_legend() is None and '140 test images of 70 classes' in fig.axes[0].get_title()

@pytest.mark.parametrize('y,classes', [(lambda y: y*0+3, 1), (lambda y: y.clamp(max=2), 3)])
def test_classes_that_do_not_occur(y, classes):
    d = load_dataset('digits')
    dls = image_dls(Images(**vars(d) | dict(train_labels=y(d.train_labels), test_labels=y(d.test_labels), vocab=[f'k{i}' for i in range(300)])), bs=100)
    fig = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal').plot_latent_scatter()
    assert len(fig.axes[0].collections)==classes and (classes>1 or 'k3' in fig.axes[0].get_title())

def test_numbers_in_titles_say_of_which_images_they_are(learn):
    for ax in learn.plot_reconstructions(n=7).axes: assert 'MSE of these 7: 0.' in ax.get_title()
    assert '60 test images' in learn.plot_latent_stats(n=60).axes[0].get_title()
    assert '60 test images' in learn.plot_latent_scatter(n=60).axes[0].get_title()
    assert [o.get_text() for o in learn.plot_samples(4, hist=True).axes[1].get_legend().get_texts()]==['16 samples', '100 test images']

def test_images_are_drawn_large_enough_on_white():
    dls = image_dls(Images(name='wide', train_images=torch.randint(256, (200,1,28,28), dtype=torch.uint8), test_images=torch.randint(256, (50,1,28,28), dtype=torch.uint8)), bs=50)
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal', cbs=(cb:=WatchCallback(live=False)))
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    for fig,columns in ((learn.plot_reconstructions(), 10), (learn.plot_samples(), 8), (learn.plot_samples(hist=True), 8),
                        (learn.plot_traversal(), 11), (learn.plot_manifold(), 16), (cb.figure(), 5)):
        fig.draw_without_rendering()
        sheets = [ax for ax in fig.axes if ax.images]
        assert sheets and all(ax.get_window_extent().width/columns*28/29>=55.5 for ax in sheets), [ax.get_window_extent().width/columns for ax in sheets]
        assert fig.get_figwidth()*fig.dpi<=1000
    png = io.BytesIO(); fig.savefig(png, format='png')
    assert Image.open(png).convert('RGBA').getpixel((0, 0))==(255,255,255,255)
