"What people hand in as data: taken for what it is, or refused with what to do instead"
import json, pickle, warnings
import matplotlib.pyplot as plt, numpy as np, pytest, torch
from torch import nn
from torchvision.transforms import v2
from fastai.data.transforms import IntToFloatTensor
from fastai.vision.augment import Resize, aug_transforms
from vae_nbdev import *
from vae_nbdev.data.loaders import same_transforms
from vae_nbdev.data.sources import digits_images, natural_images
from vae_nbdev.data.transforms import class_moments, normalize_class_contrast

rng = np.random.default_rng(0)
x28 = rng.integers(0, 256, (60,28,28), dtype=np.uint8)
y28 = np.arange(60)%3
parts = dict(train=slice(40), test=slice(40, 50), val=slice(50, 60))

@pytest.fixture(scope='module')
def digits(): return digits_images()

@pytest.fixture(scope='module')
def photos(): return natural_images(n=400, color=True, size=32).train_images.numpy()        # 340 x 3 x 32 x 32

@pytest.fixture(scope='module')
def whitened(): return image_dls('digits', whiten=.01, bs=50)

def said(f):
    "What `f` gives, and what it warns of"
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        res = f()
    return res,[str(o.message) for o in w]

def tensor_of(dl): return torch.cat([x for x,_ in dl])

def same(a, b): return a.shape==b.shape and torch.allclose(a, b, atol=1e-4)               # products depend on the size of a batch

# -- keys ------------------------------------------------------------------------------------------------------------------

def medical(): return {f'{s}_{what}': x[i] for s,i in parts.items() for what,x in (('images', x28), ('labels', y28[:,None]))}

@pytest.mark.parametrize('how', ['dict', 'pkl', 'npz', 'mapped'])
def test_medmnist_validates_on_its_validation_split(tmp_path, how):
    if how=='pkl': (tmp_path/'a.pkl').write_bytes(pickle.dumps(medical()))
    np.savez(tmp_path/'a.npz', **medical())
    ims = as_images(medical()) if how=='dict' else read_images(tmp_path/('a.pkl' if how=='pkl' else 'a.npz'), mapped=how=='mapped')
    dls = image_dls(ims, bs=20)
    assert (dls.valid.one_batch()[0][:,0].numpy()*255).round().astype(np.uint8).tolist()==x28[50:].tolist()
    assert ims.valid_labels.tolist()==y28[50:].tolist() and ims.mapped==(how=='mapped')

@pytest.mark.parametrize('keys', [('x_train','y_train','x_test','y_test'), ('Train_images','Train_labels','Test_images','Test_labels'), ('train_imgs','train_label','test_imgs','test_label'),
    ('trainImages','trainTargets','testImages','testTargets'), ('train-x','train-y','test-x','test-y'), ('training_images','training_labels','testing_images','testing_labels')])
def test_other_spellings(tmp_path, keys):
    data = dict(zip(keys, (x28[:40], y28[:40], x28[40:], y28[40:])))
    np.savez(tmp_path/'a.npz', **data, meta=np.zeros(3), README=np.array(['text']))
    for ims in as_images(data | dict(meta=3, README='text', image_ids=[1])), read_images(tmp_path/'a.npz'):
        assert (len(ims.train_images), len(ims.test_images))==(40, 20) and ims.test_labels.tolist()==y28[40:].tolist()

@pytest.mark.parametrize('key,near', [('vaild_images','valid_images'), ('labels','train_labels'), ('y','train_labels'), ('val','valid_images'), ('valid_imagess','valid_images'),
    ('eval_images','valid_images'), ('test_lables','test_labels'), ('class_name','vocab')])
@pytest.mark.parametrize('file', [False, True])
def test_nearly_known_keys_are_refused(tmp_path, key, near, file):
    data = dict(train_images=x28[:40], test_images=x28[40:], **{key: x28[:9]})
    np.savez(tmp_path/'a.npz', **data)
    with pytest.raises(DatasetError, match=f'`{key}` is nearly `{near}`'): read_images(tmp_path/'a.npz') if file else as_images(data)

def test_keys_that_mean_the_same():
    with pytest.raises(DatasetError, match='`val_images` and `valid_images` mean the same'):
        as_images(dict(train_images=x28, test_images=x28, valid_images=x28, val_images=x28))
    assert as_images(dict(train_images=x28, test_images=x28, train_images_2=x28, extra_images=x28)).splits()==['train','test']   # not near what is missing
    with pytest.raises(DatasetError, match='1,001 keys'): as_images({str(i): 0 for i in range(1001)})

# -- values ----------------------------------------------------------------------------------------------------------------

def test_sixteen_levels():
    from sklearn.datasets import load_digits
    x = load_digits().images
    with pytest.raises(DatasetError, match='0 to 16; expected 0 to 1: say which.*value_range=.0, 16.'): as_images(x)
    ims,w = said(lambda: as_images(x/16))
    assert not w and ims.train_images.max()==255
    for kind in np.uint8, np.int64:
        ims,w = said(lambda: as_images(x.astype(kind)))
        assert ims.train_images.max()==16 and 'largest value is 16 of 255, which is nearly black' in w[0] and 'value_range=(0, 16)' in w[0]
    with pytest.raises(DatasetError, match='from 0 to 4096; expected 0 to 255: say which.*value_range=.0, 4096.'): as_images((x*256).astype(np.uint16))
    assert 'nearly black' in said(lambda: as_images(x/16/255))[1][0]                           # divided twice
    assert 'nearly black' in said(lambda: as_images(dict(train_images=x/16, test_images=x/16/255)))[1][0]

@pytest.mark.parametrize('c', [0, 7, 200, 255])
def test_constant_images_are_warned_of(c): assert f'every pixel is {c}' in said(lambda: as_images(np.full((40,5,5), c)))[1][0]

def test_dark_files(tmp_path):
    np.save(tmp_path/'a.npy', x28//8)
    for mapped in False, True: assert 'largest value is 31' in said(lambda: read_images(tmp_path/'a.npy', mapped=mapped))[1][0]
    few = np.zeros((5000,4,4), np.uint8); few[3] = 255; few[:,0] = 9                            # one bright image, which a sample misses
    assert not said(lambda: as_images(dict(train_images=few, test_images=x28[:,:4,:4])))[1]

def test_masks_stay_quiet(): assert not said(lambda: as_images((x28>127).astype(np.uint8)))[1]

# -- layout ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('convert', [lambda x: x, lambda x: x/255, np.asfortranarray], ids=['bytes','floats','Fortran'])
@pytest.mark.parametrize('order', ['C x H x W', 'H x W x C'])
def test_rows_of_colour(tmp_path, photos, order, convert):
    x = photos if order[0]=='C' else photos.transpose(0,2,3,1)
    rows = convert(x.reshape(len(x), -1))
    np.save(tmp_path/'a.npy', rows)
    todo = [lambda: as_images(rows, test_pct=None), lambda: read_images(tmp_path/'a.npy', test_pct=None)]
    if rows.dtype==np.uint8: todo.append(lambda: read_images(tmp_path/'a.npy', test_pct=None, mapped=True))
    for f in todo:
        ims,w = said(f)
        assert torch.equal(ims.train_images, torch.tensor(photos)) and len(w)==1
        assert f'taken in the order {order}' in w[0] and 'N x H x W x C' in w[0]

def test_grey_rows_of_three_equal_channels(photos):
    x = photos[:,:1].repeat(3, 1)
    for rows in x, x.transpose(0,2,3,1): assert torch.equal(said(lambda: as_images(rows.reshape(len(x),-1), test_pct=None))[0].train_images, torch.tensor(x))

def test_rows_of_noise_ask():
    with pytest.raises(DatasetError, match='neighbouring pixels do not tell which.*N x H x W x C'): as_images(rng.integers(0, 256, (50,3072)))

def test_splits_decide_together(photos):
    x = photos.reshape(len(photos), -1)
    assert torch.equal(said(lambda: as_images(dict(train_images=x, test_images=x[:1]*0+9)))[0].train_images, torch.tensor(photos))

@pytest.mark.parametrize('shape', [(9,3,128,1), (9,1,64,3), (9,3,8,3), (9,1,28,1)])
def test_four_axes_of_two_readings(shape):
    x = rng.integers(0, 256, shape, dtype=np.uint8)
    with pytest.raises(DatasetError, match='both could be') as e: as_images(x)
    first,last = (as_images(x.transpose(o), test_pct=None).train_images for o in ((0,2,3,1), (0,3,1,2)))
    assert '`x.transpose(0, 2, 3, 1)`' in str(e.value) and '`x.transpose(0, 3, 1, 2)`' in str(e.value)
    assert torch.equal(first, torch.tensor(x)) and torch.equal(last, torch.tensor(x).permute(0,3,1,2))

@pytest.mark.parametrize('shape', [(3,3,20), (3,20,3), (3,1,20), (1,3,20), (1,20,1)])
def test_narrow_images_come_back_from_a_file(tmp_path, shape):
    x = torch.from_numpy(rng.integers(0, 256, (9,*shape), dtype=np.uint8))
    for compress in True, False:
        back = read_images(write_images(Images(x, x), tmp_path/'a.npz', compress=compress), mapped=not compress)
        assert torch.equal(back.train_images, x)

# -- pickles of lists ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('wrap', [lambda x: [x], lambda x: (x,), lambda x: [[x]]])
def test_an_array_alone_in_a_list(tmp_path, wrap):
    (tmp_path/'a.pkl').write_bytes(pickle.dumps(wrap(x28)))
    assert torch.equal(read_images(tmp_path/'a.pkl', test_pct=None).train_images[:,0], torch.tensor(x28))
    (tmp_path/'a.pkl').write_bytes(pickle.dumps(wrap(dict(train_images=x28, test_images=x28))))
    assert len(read_images(tmp_path/'a.pkl').test_images)==60

def test_several_arrays_ask(tmp_path):
    for data in (x28, x28[:5]), [x28]*3, ((x28, y28), (x28, y28)):
        (tmp_path/'a.pkl').write_bytes(pickle.dumps(data))
        with pytest.raises(DatasetError, match='train_images=a, test_images=b') as e: read_images(tmp_path/'a.pkl')
        assert all(o in str(e.value) for o in ('np.concatenate', 'np.stack', 'safe_unpickle'))
    endless = []; endless.append(endless)
    with pytest.raises(DatasetError, match='holds a list'): as_images(endless)

def test_frey_faces(tmp_path):
    (tmp_path/'freyfaces.pkl').write_bytes(pickle.dumps([rng.random((50,560))], 2))
    with pytest.raises(DatasetError, match=r'50 x 560.*x.reshape\(-1, 28, 20\)'): read_images(tmp_path/'freyfaces.pkl')
    with pytest.raises(DatasetError, match=r'x.reshape\(-1, H, W\)'): as_images(np.zeros((5,790)))

# -- transforms of loaders that are there ------------------------------------------------------------------------------------

def test_stimuli_go_through_the_fitted_transforms(digits, whitened):
    x = digits.test_images[:203]
    right = tensor_of(whitened.test)[:203]
    for stimuli in x, x.numpy(), x.numpy()/255, Images(x[:5], x, torch.zeros(5, dtype=int), digits.test_labels[:203]):
        new = image_dls(stimuli, like=whitened)
        assert same(tensor_of(new.test), right)                                         # all, in order, as the model knows them
        assert new.test.bs==50 and new.config==whitened.config | dict(source='images') and same_transforms(new, whitened)
    assert new.images.test_labels.tolist()==digits.test_labels[:203].tolist()
    array = image_dls(x.numpy(), like=whitened)
    assert same(tensor_of(array.train.new(shuffle=False, drop_last=False)), right) and len(array.loaders)==2
    refitted = image_dls(as_images(x.numpy(), test_pct=None), whiten=.01, bs=50)
    assert not same_transforms(refitted, whitened) and not torch.allclose(tensor_of(refitted.test), right, atol=.1)

@pytest.mark.parametrize('mapped', [False, True])
def test_stimuli_in_a_file(tmp_path, digits, whitened, mapped):
    np.save(tmp_path/'stimuli.npy', digits.test_images[:120,0].numpy())
    for o in tmp_path/'stimuli.npy', str(tmp_path/'stimuli.npy'):
        new = image_dls(o, like=whitened, mapped=mapped)
        assert same(tensor_of(new.test), tensor_of(whitened.test)[:120]) and new.images.mapped==mapped
    write_images(digits, tmp_path/'mine.npz')
    assert image_dls('mine', path=tmp_path, like=whitened).images.name=='mine'
    assert len(image_dls('digits', like=whitened).loaders)==2

def test_few_stimuli(digits, whitened):
    new = image_dls(digits.test_images[:3], like=whitened)
    assert len(new.one_batch()[0])==3 and len(new.valid.one_batch()[0])==3

def test_code_of_stimuli(digits, whitened):
    from vae_nbdev import SmallDenseVAE, split_codes, vae_learner
    learn = vae_learner(whitened, SmallDenseVAE((1,8,8), 2), likelihood='normal', noise=1.)
    codes = split_codes(learn, dls=image_dls(digits.test_images.numpy(), like=learn.dls), n=None)
    own = split_codes(learn, n=None)
    assert torch.equal(codes.images, own.images) and torch.allclose(codes.means, own.means, atol=1e-6)
    assert codes.idxs.tolist()==list(range(360))

def test_class_contrast_goes_along(digits):
    dls = image_dls('digits', contrast='class', bs=50)
    new = image_dls(digits, like=dls)
    assert same(tensor_of(new.test), tensor_of(dls.test)) and same_transforms(new, dls)
    assert not same_transforms(image_dls('digits'), dls)
    with pytest.raises(ValueError, match='no labels'): image_dls(digits.test_images, like=dls)

def test_validation_split_goes_along(digits):
    dls = image_dls('digits', valid_pct=.2, binarize='threshold')
    new = image_dls(dls.images, like=dls)
    assert len(new.loaders)==3 and same(tensor_of(new.valid), tensor_of(dls.valid)) and new.valid is not new.test

@pytest.mark.parametrize('arguments,words', [(dict(bs=100), 'bs'), (dict(whiten=.01), 'whiten'), (dict(binarize='sample', steps=3), 'binarize, steps'), (dict(batch_tfms=RandomFlip()), 'batch_tfms'),
    (dict(random_contrast=True), 'random_contrast'), (dict(valid_pct=.1), 'valid_pct'), (dict(contrast='image'), 'contrast'), (dict(device='cpu'), 'device')])
def test_like_stands_alone(digits, whitened, arguments, words):
    with pytest.raises(TypeError, match=f'leave out {words}'): image_dls(digits, like=whitened, **arguments)

def test_like_of_other_images(digits, whitened):
    with pytest.raises(ValueError, match='resize them'): image_dls(x28, like=whitened)
    with pytest.raises(TypeError, match='learn.dls, not a Images'): image_dls(digits, like=digits)

def test_a_fit_is_not_handed_on():
    w = Whiten()
    image_dls('digits', batch_tfms=w)
    with pytest.raises(ValueError, match='belongs to other loaders.*like=dls'): image_dls('digits', batch_tfms=w)
    by_hand = Whiten().fit(digits_images().test_images/255); mean = by_hand.mean
    assert image_dls('digits', batch_tfms=by_hand).train.after_batch[1].mean is mean            # asked for, so kept

def test_same_transforms():
    def dls(**kw): return image_dls('digits', **kw)
    plain,module = dls(),nn.Conv2d(1, 1, 1)
    assert same_transforms(plain, dls(bs=7)) and same_transforms(plain, dls(random_contrast=True, batch_tfms=[RandomFlip(), *aug_transforms()]))
    assert same_transforms(dls(whiten=.01), dls(whiten=.01)) and not same_transforms(dls(whiten=.01), dls(whiten=.1))
    assert same_transforms(dls(batch_tfms=module), dls(batch_tfms=pickle.loads(pickle.dumps(module)))) and not same_transforms(dls(batch_tfms=module), plain)
    for kw in dict(binarize='threshold'), dict(contrast='image'), dict(batch_tfms=lambda x: 1-x): assert not same_transforms(plain, dls(**kw))
    assert not same_transforms(dls(binarize='threshold'), dls(batch_tfms=Binarize(threshold=.3)))

# -- transforms of others ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('color', [False, True])
def test_fastais_augmentations_act_in_training_alone(color):
    ims = natural_images(n=200, color=color)
    dls = image_dls(ims, bs=50, batch_tfms=aug_transforms(max_rotate=30, p_affine=1, p_lighting=1))
    x,y = dls.one_batch()
    assert x is y and type(x) is torch.Tensor and x.dtype==torch.float32 and 0<=x.min() and x.max()<=1
    in_order = dls.train.new(get_idxs=lambda: list(range(50)))                                  # as in training
    a,b = in_order.one_batch()[0],in_order.one_batch()[0]
    plain = ims.train_images[:50]/255
    assert all((a[i]-plain[i]).abs().max()>.01 and (a[i]-b[i]).abs().max()>.01 for i in range(50))   # each is changed, anew each time
    assert torch.equal(tensor_of(dls.valid), ims.test_images/255)
    assert torch.equal(tensor_of(dls.train.new(shuffle=False, drop_last=False)), ims.train_images/255)

def test_augmentation_before_binarising_and_whitening():
    dls = image_dls('digits', binarize='threshold', batch_tfms=aug_transforms(max_rotate=30, p_affine=1))
    assert dls.one_batch()[0].unique().tolist()==[0, 1]
    white = image_dls('digits', whiten=.01, batch_tfms=aug_transforms(p_lighting=1))
    assert torch.isfinite(white.one_batch()[0]).all() and same_transforms(white, image_dls('digits', whiten=.01))

@pytest.mark.parametrize('tfm,random', [(v2.RandomRotation(40), True), (v2.RandomHorizontalFlip(.999), True), (v2.RandomErasing(1.), True), (v2.GaussianNoise(sigma=.3, clip=False), True), (nn.Dropout(.5), True),
    (lambda x: x + .3*torch.randn_like(x), True), (lambda x: x + float(np.random.rand()), True), (v2.RandomInvert(1.), True), (lambda x: 1-x, False), (nn.AvgPool2d(3, 1, 1), False), (v2.GaussianBlur(3, (1., 1.)), None)], ids=lambda o: type(o).__name__)
def test_functions_modules_and_torchvision(tfm, random):
    state = torch.get_rng_state()
    dls = image_dls('digits', bs=50, batch_tfms=tfm)
    assert torch.equal(state, torch.get_rng_state())                                            # to try them leaves no trace
    if random is None: return
    x = dls.train.new(get_idxs=lambda: list(range(50))).one_batch()[0]
    assert not torch.equal(x, dls.train.source.images[:50]/255) and 0<=x.min() and x.max()<=1 and not x.requires_grad
    assert torch.equal(tensor_of(dls.valid), dls.valid.source.images/255)==random

def test_what_changes_values_for_all_is_not_clipped():
    dls = image_dls('digits', batch_tfms=[v2.Normalize([.5], [.25]), v2.RandomVerticalFlip(1)])
    assert dls.one_batch()[0].min()==-2 and dls.valid.one_batch()[0].min()==-2

@pytest.mark.parametrize('tfm,error,words', [(v2.Resize(16), ValueError, 'Resize in batch_tfms makes .* 16 x 16'), (aug_transforms(size=16), ValueError, '16 x 16'), (v2.ToDtype(torch.uint8, scale=True), ValueError, 'uint8'),
    (Resize(28), TypeError, 'Resize in batch_tfms is for single items'), (IntToFloatTensor(), ValueError, r'in \[0, 1\] already'), (v2.ToPILImage(), ValueError, 'ToPILImage in batch_tfms'),
    ('flip', TypeError, 'has a str'), (v2.MixUp(num_classes=10), ValueError, 'MixUp in batch_tfms fails'), (nn.Linear(3, 3), ValueError, 'Linear in batch_tfms fails')], ids=str)
def test_transforms_that_give_no_images(tfm, error, words):
    with pytest.raises(error, match=words): image_dls('digits', batch_tfms=tfm)

def test_augmentation_is_pickled():
    tfms = image_dls('digits', batch_tfms=[*aug_transforms(), v2.RandomVerticalFlip()]).train.after_batch
    again = pickle.loads(pickle.dumps(tfms))
    assert again[1].random==tfms[1].random and [type(o) for o in again[1].tfms]==[type(o) for o in tfms[1].tfms]

# -- what fastai users try ---------------------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    from PIL import Image
    (tmp_path/'faces').mkdir()
    for i in range(40): Image.fromarray(x28[i]).save(tmp_path/'faces'/f'{i:02}.png')
    return tmp_path/'faces'

def test_folder_of_pictures(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for o in folder, str(folder), 'faces', './faces', folder/'00.png', sorted(folder.glob('*')):
        with pytest.raises(DatasetError, match='Image.open') as e: image_dls(o)
        with pytest.raises((DatasetError, TypeError)): load_dataset(o)
    given = dict(as_images=as_images)
    with pytest.raises(DatasetError) as e: load_dataset(folder)
    lines = [o.strip() for o in str(e.value).split('\n')[2:]]
    exec('\n'.join(lines), given)                                                               # the lines of the message work
    assert given['images'].image_shape==(3,64,64) and len(given['images'].train_images)==38

def test_arguments_that_are_not_there(tmp_path, digits):
    write_images(digits, tmp_path/'mine.npz')
    for o in 'digits', tmp_path/'mine.npz', digits, x28:
        with pytest.raises(TypeError, match='no argument num_workers: a batch is one gather'): image_dls(o, num_workers=4)
        with pytest.raises(TypeError, match='no argument item_tfms: all transforms'): image_dls(o, item_tfms=Resize(28))
        with pytest.raises(TypeError, match='no argument batch_siz'): image_dls(o, batch_size=4)
    with pytest.raises(TypeError, match='digits has no option n; its options are: size, seed'): image_dls('digits', n=5)
    with pytest.raises(ValueError, match='num_workers=2'): image_dls('digits').train.new(num_workers=2)

def test_arrays_and_dicts_are_sources(digits):
    dls = image_dls(dict(train_images=x28, test_images=x28[:9]), bs=20)
    assert len(dls.images.test_images)==9 and len(image_dls(x28, bs=20, test_pct=.5).images.test_images)==30
    for o in 3, None, object():
        with pytest.raises(DatasetError, match='expected a dict'): image_dls(o)

# -- classes -----------------------------------------------------------------------------------------------------------------

def test_known_sets_of_few_classes_have_all_names(tmp_path):
    np.savez(tmp_path/'cifar10.npz', train_images=np.stack([x28]*3, -1), test_images=np.stack([x28]*3, -1), train_labels=y28, test_labels=y28)
    assert load_dataset('cifar10', path=tmp_path).vocab[9]=='truck'

def test_class_without_training_images():
    ims = as_images(dict(train_images=x28[:40], test_images=x28[40:], train_labels=y28[:40]*0, test_labels=y28[40:], vocab=['a','b','c']))
    with pytest.raises(ValueError, match=r"class b \(1\) is in the test split.*contrast='image'"): normalize_class_contrast(ims)
    assert class_moments(ims).keys()=={0} and 'row a class (1 of 3 classes)' in ims.show().axes[0].get_title()

# -- pictures ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('side,n,px', [(28,10,56), (8,10,56), (64,10,64), (32,10,64), (200,3,64), (28,20,32)])
def test_tiles_on_the_screen(side, n, px):
    x = torch.from_numpy(rng.integers(0, 256, (60,1,side,side), dtype=np.uint8))
    fig = Images(x, x, torch.arange(60)%3, torch.arange(60)%3).show(n)
    w,h = fig.get_size_inches()*72
    assert abs(w/n-px)<=px/side+1e-6 and abs(h/3-px)<=px/side+1e-6

def test_sheet_of_many_classes():
    x,y = torch.from_numpy(x28[:52,None]),torch.arange(52)%26
    ims = Images(x, x, y, y, name='letters')
    assert ims.show().axes[0].get_title()=='letters: training images, a row a class (10 of 26 classes)'
    assert len(ims._repr_html_())<101_000 and plt.get_fignums()==[]
    with pytest.raises(TypeError): ims.show('ten')
    assert plt.get_fignums()==[]

# -- other values, other channels, labels ------------------------------------------------------------------------------------

@pytest.mark.parametrize('dtype,value_range', [(np.uint16, (0, 4095)), (np.float32, (-70., 30.)), (np.float64, 'found'), (np.int32, (0, 60000)), (np.uint8, (10, 200))])
@pytest.mark.parametrize('channels', [1, 2, 5])
def test_values_and_channels_are_kept(dtype, value_range, channels, tmp_path):
    rng = np.random.default_rng(0)
    lo,hi = (-3., 3.) if value_range=='found' else value_range
    x = (lo + (hi-lo)*rng.random((120,10,12,channels))).astype(dtype)
    images = as_images(dict(train_images=x[:100], test_images=x[100:]), value_range=value_range)
    again = read_images(write_images(images, tmp_path/'a.npz'))
    assert torch.equal(again.train_images, images.train_images) and again.value_range==images.value_range
    dls = image_dls(again, bs=20)
    lo,hi = images.value_range
    expected = torch.from_numpy(((x[100:].astype(np.float64)-lo)/(hi-lo)).clip(0, 1).transpose(0,3,1,2)).float()
    assert torch.allclose(split_images(dls, 'test'), expected, atol=1e-4)
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal')
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    again.show(); dls.show_batch(); learn.plot_samples()

def test_mapped_values_of_sixteen_bits(tmp_path):
    x = np.random.default_rng(0).integers(0, 4096, (100,10,10)).astype(np.uint16)
    np.savez(tmp_path/'a.npz', train_images=x, test_images=x[:20], value_range=np.array([0, 4095]))
    for mapped in (True, False):
        dls = image_dls(str(tmp_path/'a.npz'), mapped=mapped, bs=20)
        assert dls.images.mapped==mapped and torch.allclose(split_images(dls, 'test')[:,0], torch.from_numpy(x[:20]/4095).float(), atol=1e-6)

def test_labels_beside_images():
    class Conditional(SmallDenseVAE):
        "The label is added to the code before it is decoded"
        conditional = True
        def forward(self, x, y, draws=1):
            out = super().forward(x, draws)
            return type(out)(self.decode(out.levels[0].z + y[:,None].repeat(draws, 1)), out.levels, {})
    dls = image_dls('digits', bs=50, binarize='threshold', labels=True)
    x,y,target = dls.train.one_batch()
    assert dls.n_inp==2 and x is target and y.shape==(50,) and y.dtype==torch.int64
    x,y,_ = dls.valid.one_batch()
    assert torch.equal(y, dls.images.test_labels[:50]) and torch.equal(x, (dls.images.test_images[:50]/255>=.5).float())
    for cls in (Conditional, SmallDenseVAE):
        learn = vae_learner(dls, cls(dls.image_shape, 3))
        with learn.no_bar(), learn.no_logging(): learn.fit(2, 1e-3)
        assert learn.get_preds()[0][0].shape==(360,1,8,8)
    with pytest.raises(ValueError, match='no labels'): image_dls(torch.rand(200,1,8,8), labels=True)

def test_loaders_are_made_again_from_their_config():
    dls = image_dls('digits', bs=50, whiten=.1, contrast='image', batch_tfms=[RandomShift(2), RandomFlip(.3)])
    again = image_dls(bs=50, **json.loads(json.dumps(dls.config)))
    assert same_transforms(dls, again) and again.config==dls.config and [f.p for f in again.train.after_batch.fs if isinstance(f, RandomFlip)]==[.3]
