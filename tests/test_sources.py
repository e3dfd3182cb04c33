"Data sets by name: drawn, from scikit-learn, from a folder, from torchvision, from Kaggle; and what is said when there is none"
import math, os, socket, struct, sys, types, urllib.request
from pathlib import Path
from urllib.error import URLError
import numpy as np, pytest, torch
from vae_nbdev.data.images import *
from vae_nbdev.data.files import *
from vae_nbdev.data.sources import *
from vae_nbdev.data.sources import digits_images, draw_textures, natural_images, texture_factors, texture_images

@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs): raise URLError('no network')
    monkeypatch.setattr(urllib.request, 'urlopen', refuse)

@pytest.fixture
def folder(monkeypatch, tmp_path):
    "VAE_NBDEV_DATA and an empty cache, in a temporary directory"
    import fastai.data.external
    monkeypatch.setattr(fastai.data.external, 'fastai_path', lambda _: tmp_path/'fastai')
    (tmp_path/'data').mkdir(); monkeypatch.setenv('VAE_NBDEV_DATA', str(tmp_path/'data'))
    return tmp_path/'data'

@pytest.fixture
def digits(): return digits_images()

# -- textures ----------------------------------------------------------------------------------------------------------

FAMILIES = ['gratings','plaids','noise','bands','checks','blobs','weaves']

def test_textures_default_size():
    ims = load_dataset('textures')
    assert ims.train_images.shape==(35700,1,28,28) and ims.test_images.shape==(6300,1,28,28)
    assert ims.train_labels.bincount().tolist()==[5100]*7 and ims.test_labels.bincount().tolist()==[900]*7
    assert ims.vocab==FAMILIES and ims.name=='textures'
    sd = ims.train_images.float().std((1,2,3))
    for k in range(7):                                            # contrast varies within each family, the mean does not
        low,high = sd[ims.train_labels==k].quantile(torch.tensor([.05,.95]))
        assert high>2*low, FAMILIES[k]
    assert (ims.train_images.float().mean((1,2,3)) - 127.5).abs().max() < 8
    assert len({x.tobytes() for x in ims.test_images.numpy()})==6300

def features(x):
    "Third and fourth moment and the sorted power spectrum, of images scaled to one contrast"
    x = x[:,0].float(); x = (x - x.mean((1,2), keepdim=True))/x.std((1,2), keepdim=True)
    p = torch.fft.fftshift(torch.fft.fft2(x).abs()**2, dim=(1,2)).flatten(1)
    order = p.sort(1, descending=True)[0][:,:60].log()            # how concentrated, whatever the orientation
    return torch.cat([(x**3).mean((1,2))[:,None], (x**4).mean((1,2))[:,None], order], 1)

def test_textures_are_seven_different_families():
    from sklearn.ensemble import RandomForestClassifier
    ims = texture_images(n_per_family=200)
    clf = RandomForestClassifier(100, random_state=0).fit(features(ims.train_images), ims.train_labels)
    assert clf.score(features(ims.test_images), ims.test_labels) > .9     # by chance: .14

@pytest.mark.parametrize('family', ['gratings','bands'])
def test_texture_factors_are_those_of_the_images(family):
    ims,fs = texture_images(60, size=64),texture_factors(60)
    n,k = len(ims.train_images), FAMILIES.index(family)
    assert (fs['family'][:n]==ims.train_labels).all() and (fs['family'][n:]==ims.test_labels).all()
    own = fs['family'][n:]==k
    x = ims.test_images[own,0].float() - 127.5
    p = torch.fft.fft2(x*torch.hann_window(64)*torch.hann_window(64)[:,None], (256,256)).abs()**2
    peak = p[:,:,:128].flatten(1).argmax(1)
    fy,fx = (torch.fft.fftfreq(256)*64)[peak//128], (peak%128)/4
    angle = (torch.atan2(fy, fx) - fs['orientation'][n:][own] + math.pi/2)%math.pi - math.pi/2
    octaves = ((fx**2 + fy**2).sqrt()/fs['frequency'][n:][own]).log2()
    slack = .1 if family=='gratings' else .8
    assert angle.abs().max()<slack and octaves.abs().max()<2*slack

def test_isotropic_families_have_no_orientation():
    fs = texture_factors(20)
    nan = {FAMILIES[k] for k in fs['family'][fs['orientation'].isnan()].tolist()}
    assert nan=={'noise','blobs'}
    assert {FAMILIES[k] for k in fs['family'][fs['frequency'].isnan()].tolist()}=={'noise'}
    assert not any(fs[k].isnan().any() for k in ('phase','contrast'))

@pytest.mark.parametrize('size', [16, 32, 64])
def test_textures_in_other_sizes(size): assert texture_images(4, size=size).image_shape==(1,size,size)

def test_textures_seeded():
    a,b,c = texture_images(10), texture_images(10), texture_images(10, seed=1)
    assert (a.train_images==b.train_images).all() and (a.train_labels==b.train_labels).all()
    assert (a.train_images!=c.train_images).any()
    torch.manual_seed(3); state = torch.get_rng_state(); texture_images(4); natural_images(20); digits_images()
    assert (torch.get_rng_state()==state).all()                   # the global generator is left alone

@pytest.mark.parametrize('kw', [dict(n_per_family=1), dict(size=15)])
def test_textures_bad_input(kw):
    with pytest.raises(DatasetError, match='n_per_family >= 2 and size >= 16'): load_dataset('textures', **kw)

def test_contrast_zero_is_grey():
    for family in FAMILIES:
        x = draw_textures(family, torch.zeros(2), torch.full((2,), 3.), torch.ones(2,2), torch.zeros(2))
        assert x.unique().tolist()==[128], family

# -- digits and natural ------------------------------------------------------------------------------------------------

def test_digits_are_scikit_learns_with_their_labels(digits):
    from sklearn.datasets import load_digits
    d = load_digits(); known = {}
    for x,y in zip(d.images, d.target): known.setdefault(np.round(x*255/16).astype(np.uint8).tobytes(), set()).add(int(y))
    x,y = torch.cat([digits.train_images, digits.test_images]), torch.cat([digits.train_labels, digits.test_labels])
    assert len(x)==1797 and digits.image_shape==(1,8,8)
    assert all(int(b) in known[a.numpy().tobytes()] for a,b in zip(x, y))
    assert digits.test_labels.bincount().min()>20 and digits.vocab==[str(i) for i in range(10)]

def test_digits_enlarged(digits):
    large = load_dataset('digits', size=28)
    assert large.image_shape==(1,28,28) and (large.train_labels==digits.train_labels).all()
    assert large.train_images.max()==255 and large.train_images.min()==0

@pytest.mark.parametrize('color', [False, True])
def test_natural_keeps_a_part_of_each_photograph_for_test(monkeypatch, color):
    import sklearn.datasets
    photo = np.zeros((427,640,3), np.uint8); photo[:,512:] = 255
    monkeypatch.setattr(sklearn.datasets, 'load_sample_images', lambda: types.SimpleNamespace(images=[photo, photo]))
    ims = natural_images(4000, color=color)
    assert ims.image_shape==(3 if color else 1,28,28)
    assert (ims.train_images==0).all() and (ims.test_images==255).all()

def test_natural_labels_are_photographs():
    ims = load_dataset('natural', n=2000, color=True)
    red,blue = ((ims.train_images[:,c].float()).mean((1,2)) for c in (0,2))
    flower = ims.train_labels==1
    assert (red - blue)[flower].mean() > (red - blue)[~flower].mean()          # a red dahlia, a temple under the sky
    assert ims.vocab==['china','flower'] and ims.train_labels.bincount().tolist()==[850,850]

def test_natural_bad_size():
    for size in (0, 129):
        with pytest.raises(DatasetError, match='1 to 128'): natural_images(10, size=size)

# -- folders and paths -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('suffix', ['.npz', '.pkl', '.pkl.gz'])
def test_by_name_in_folder(folder, digits, suffix):
    write_images(digits, folder/f'mine{suffix}')
    assert 'mine' in dataset_names()
    ims = load_dataset('mine')
    assert ims.name=='mine' and (ims.train_images==digits.train_images).all() and (ims.test_labels==digits.test_labels).all()

def test_path_stands_for_the_folder(folder, digits, tmp_path):
    write_images(digits, folder/'mine.npz'); (tmp_path/'other').mkdir()
    write_images(digits_images(seed=1), tmp_path/'other'/'mine.npz')
    a,b = load_dataset('mine'), load_dataset('mine', path=tmp_path/'other')
    assert (a.train_images!=b.train_images).any()
    assert dataset_names(tmp_path)==('digits','natural','textures','mnist','fashion_mnist','cifar10')

def test_cache_after_the_folder(folder, digits, tmp_path):
    cache = tmp_path/'fastai'/'vae_nbdev'; cache.mkdir(parents=True)
    write_images(digits, cache/'mine.npz')
    assert (load_dataset('mine').train_images==digits.train_images).all()
    write_images(digits_images(seed=1), folder/'mine.npz')
    assert (load_dataset('mine').train_images!=digits.train_images).any()

def test_known_sets_have_named_classes(folder, digits):
    for name in ('mnist','fashion_mnist','cifar10'): write_images(digits, folder/f'{name}.npz')
    write_images(texture_images(2, size=16), folder/'named.npz')
    seven = texture_images(2, size=16); seven.vocab = [str(i) for i in range(7)]
    write_images(seven, folder/'textures_42000_28px.pkl')
    assert load_dataset('mnist').vocab[3]=='3' and load_dataset('fashion_mnist').vocab[9]=='Ankle boot'
    assert load_dataset('cifar10').vocab[0]=='airplane' and load_dataset('texture_photos').vocab[0]=='bricks'
    assert load_dataset('named').vocab==FAMILIES                 # names in the file come first
    assert 'texture_photos' in dataset_names() and 'textures_42000_28px' not in dataset_names()

def test_textures_are_always_the_drawn_ones(folder, digits):
    write_images(digits, folder/'textures.npz')
    assert load_dataset('textures', n_per_family=2).vocab==FAMILIES

def test_by_path(digits, tmp_path, monkeypatch):
    write_images(digits, tmp_path/'mine.npz')
    monkeypatch.chdir(tmp_path); monkeypatch.setenv('HOME', str(tmp_path))
    for o in (tmp_path/'mine.npz', str(tmp_path/'mine.npz'), 'mine.npz', './mine.npz', '~/mine.npz'):
        assert (load_dataset(o).train_images==digits.train_images).all()
    monkeypatch.chdir('/')
    assert (load_dataset('mine.npz', path=tmp_path).train_images==digits.train_images).all()

def test_missing_file_is_named(tmp_path):
    with pytest.raises((DatasetError, FileNotFoundError), match='gone.npz'): load_dataset(tmp_path/'gone.npz')

# -- torchvision -------------------------------------------------------------------------------------------------------

def write_idx(file, x):
    file.write_bytes(struct.pack(f'>BBBB{x.ndim}I', 0, 0, 8, x.ndim, *x.shape) + x.tobytes())

@pytest.fixture
def raw():
    "Images and labels in MNIST's own files, where torchvision looks for them"
    def write(folder):
        rng = np.random.default_rng(0); res = {}; (folder/'MNIST'/'raw').mkdir(parents=True)
        for split,n in (('train',40), ('t10k',20)):
            res[split] = x,y = rng.integers(0, 256, (n,28,28), dtype=np.uint8), rng.integers(0, 10, n, dtype=np.uint8)
            write_idx(folder/'MNIST'/'raw'/f'{split}-images-idx3-ubyte', x)
            write_idx(folder/'MNIST'/'raw'/f'{split}-labels-idx1-ubyte', y)
        return res
    return write

@pytest.mark.parametrize('where', ['folder','cache','path'])
def test_torchvisions_files_are_found(folder, tmp_path, raw, no_network, where):
    root = dict(folder=folder, cache=tmp_path/'fastai'/'vae_nbdev', path=tmp_path/'own')[where]
    res = raw(root)
    ims = load_dataset('mnist', path=root if where=='path' else None)
    assert ims.train_images.shape==(40,1,28,28) and ims.name=='mnist' and ims.vocab[3]=='3'
    assert (ims.test_images[:,0].numpy()==res['t10k'][0]).all() and (ims.test_labels.numpy()==res['t10k'][1]).all()

def test_npz_before_torchvision(folder, digits, raw):
    raw(folder); write_images(digits, folder/'mnist.npz')
    assert load_dataset('mnist').image_shape==(1,8,8)

def test_cifar_is_channels_first_and_downloaded_to_the_cache(folder, tmp_path, monkeypatch):
    from torchvision import datasets
    calls,x = [],np.random.default_rng(0).integers(0, 256, (6,32,32,3), dtype=np.uint8)
    class Fake:
        def __init__(self, root, train, download):
            calls.append((Path(root), download))
            if not download: raise RuntimeError('Dataset not found')
            self.data,self.targets = x,[0,1,2,3,4,9]
    monkeypatch.setattr(datasets, 'CIFAR10', Fake)
    ims = load_dataset('cifar10')
    assert ims.train_images.shape==(6,3,32,32) and (ims.train_images[2,1].numpy()==x[2,:,:,1]).all()
    assert ims.test_labels.tolist()==[0,1,2,3,4,9] and ims.vocab[9]=='truck'
    cache = tmp_path/'fastai'/'vae_nbdev'
    assert calls==[(folder,False), (cache,False), (cache,True), (cache,True)]

@pytest.mark.parametrize('name', ['mnist','fashion_mnist','cifar10'])
def test_no_network_and_no_cache(folder, tmp_path, no_network, name):
    with pytest.raises(DatasetError) as e: load_dataset(name)
    for o in (name, str(folder), str(tmp_path/'fastai'), 'digits, natural, textures', 'VAE_NBDEV_DATA'): assert o in str(e.value)
    assert socket.getdefaulttimeout() is None

def test_missing_data_folder_is_said(folder, monkeypatch, no_network):
    monkeypatch.setenv('VAE_NBDEV_DATA', '../elsewhere')
    with pytest.raises(DatasetError, match=r'\.\./elsewhere \(no such folder\)'): load_dataset('mnist')

def test_torchvision_sets_have_no_options(tmp_path):
    with pytest.raises(TypeError): load_dataset('mnist', path=tmp_path, size=14)

# -- names and Kaggle --------------------------------------------------------------------------------------------------

def test_unknown_name(folder, no_network):
    with pytest.raises(DatasetError, match="no data set 'fashion-mnist': did you mean fashion_mnist") as e: load_dataset('fashion-mnist')
    assert 'digits, natural, textures, mnist' in str(e.value)
    with pytest.raises(DatasetError, match="no data set 'zzz': There are"): load_dataset('zzz')

def test_kaggle(monkeypatch, tmp_path, digits):
    asked = []
    def dataset_download(handle, path):
        asked.append((handle, path)); write_images(digits, tmp_path/path); return str(tmp_path/path)
    monkeypatch.setitem(sys.modules, 'kagglehub', types.SimpleNamespace(dataset_download=dataset_download))
    ims = load_dataset('kaggle:natural.pkl')
    assert asked==[('dumbo666/wigner-csnl-textures-mnist-format', 'natural.pkl')]
    assert (ims.train_images==digits.train_images).all()

def test_kaggle_without_kagglehub(monkeypatch):
    monkeypatch.setitem(sys.modules, 'kagglehub', None)
    with pytest.raises(ImportError, match=r'pip install "vae_nbdev\[kaggle\]"'): load_dataset('kaggle:natural.pkl')

# -- the real sets -----------------------------------------------------------------------------------------------------

REAL = dict(mnist=(60000,10000,(1,28,28)), fashion_mnist=(60000,10000,(1,28,28)), cifar10=(30000,1000,(3,32,32)),
            binarized_mnist=(50000,10000,(1,28,28)), texture_photos=(35700,6300,(1,28,28)))

@pytest.mark.skipif(not os.environ.get('VAE_NBDEV_DATA'), reason='needs VAE_NBDEV_DATA')
@pytest.mark.parametrize('name', REAL)
def test_real_sets(name):
    if name not in dataset_names(os.environ['VAE_NBDEV_DATA']): pytest.skip(f'{name} is not in VAE_NBDEV_DATA')
    ims = load_dataset(name)
    assert (len(ims.train_images), len(ims.test_images), tuple(ims.image_shape))==REAL[name]
    assert ims.test_images.max()>240                               # 0 to 255, also where the file holds 0 and 1
    assert len(ims.vocab)==len(ims.train_labels.unique())
    if name=='binarized_mnist': assert len(ims.valid_images)==10000
