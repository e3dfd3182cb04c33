"A user's whole way, the README's promises, and wrong inputs along it"
import json, shutil, subprocess, sys, textwrap
from pathlib import Path
import pytest, torch
from matplotlib.figure import Figure
from torch import nn
from vae_nbdev import *
from vae_nbdev.demo import run_demo

@pytest.fixture(scope='module')
def dls(): return image_dls('digits', size=28, bs=100, binarize='threshold', steps=40)

@pytest.fixture(scope='module')
def learn(dls):
    torch.manual_seed(0)
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, latent_dim=4), likelihood='bernoulli', beta=1., cbs=BetaWarmup())
    with learn.no_bar(), learn.no_logging(): learn.fit(7, 1e-3)
    return learn

def test_issue_example(learn, tmp_path):
    for f in (learn.plot_reconstructions(), learn.plot_samples(grid_size=16), learn.plot_traversal(axis=3, start=-3, stop=3)): assert isinstance(f, Figure)
    save_vae(learn, tmp_path/'runs/mnist')
    vae = load_vae(tmp_path/'runs/mnist')
    assert vae.sample(64).shape==(64,1,28,28)

class MyVAE(VAE):
    def _encoder(self): return nn.Sequential(nn.Flatten(), nn.Linear(784, 420), nn.ReLU(), nn.Linear(420, 37), nn.Dropout(.5))
    def _decoder(self): return nn.Sequential(nn.Linear(self.latent_dim, 200), nn.ReLU(), nn.BatchNorm1d(200))

def test_own_architecture(dls):
    learn = vae_learner(dls, MyVAE(dls.image_shape, 5), cbs=[BetaWarmup(by='batch')])
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(2, 1e-3)
    x = dls.one_batch()[0]
    m = learn.model.train()
    a,b = m.reconstruct(x[:4]),m.reconstruct(x)[:4]           # evaluation mode: neither dropout nor the batch matters
    assert torch.allclose(a, b, atol=1e-5) and m.training
    assert torch.isfinite(m.log_weights(x, 3)).all()

def test_learning_beats_pca(learn):
    e = evaluate(learn)
    assert e.mse['test'] < e.pca_mse['test']                  # four latents against four components
    assert e.kl['test'] < 40                                  # and no autoencoder in disguise

def test_warmup_survives_an_interrupted_fit(dls):
    class Stop(Exception): pass
    from fastai.callback.core import Callback
    class Interrupt(Callback):
        def after_epoch(self):
            if self.epoch==1: raise Stop('now')
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), beta=4., cbs=[BetaWarmup()])
    with learn.no_bar(), learn.no_logging():
        with pytest.raises(Stop): learn.fit(7, cbs=Interrupt())
        learn.fit(7)
    assert [round(v[4], 4) for v in learn.recorder.values] == [0, 1.3333, 2.6667, 4, 4, 4, 4]

def test_early_stopping_leaves_no_partial_beta(dls):
    from fastai.callback.tracker import EarlyStoppingCallback
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), beta=4., cbs=BetaWarmup())
    with learn.no_bar(), learn.no_logging():
        learn.fit(14, cbs=EarlyStoppingCallback(monitor='elbo', min_delta=1000))
        learn.remove_cb(BetaWarmup)
        learn.fit(1)
    assert learn.recorder.values[-1][4]==4.

def test_validate_changes_nothing(dls):
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), beta=4., cbs=BetaWarmup())
    with learn.no_bar(), learn.no_logging():
        learn.fit(3)
        last,rows = learn.recorder.values[-1][1],len(learn.elbo_history.rows)
        assert abs(learn.validate()[0]-last)<1e-3 and abs(learn.validate()[0]-last)<1e-3
    assert learn.objective.warmup==1. and len(learn.elbo_history.rows)==rows

def test_watching_valid_loss_during_warmup_warns(dls):
    from fastai.callback.tracker import SaveModelCallback
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), cbs=[BetaWarmup(), SaveModelCallback()], model_dir='never')
    with learn.no_bar(), learn.no_logging(), pytest.warns(UserWarning, match="monitor='elbo'"):
        learn.create_opt()
        for cb in learn.cbs:
            if isinstance(cb, BetaWarmup): learn.n_epoch,learn.fitting = 3,True; cb.before_fit()

def test_device_by_name():
    dls = image_dls('digits', bs=100, device='cpu')
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal')
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    assert evaluate(learn, 'test').elbo.notna().all()

def test_autoencoder_in_bfloat16():
    dls = image_dls('digits', bs=100)
    learn = vae_learner(dls, DenseAutoEncoder(dls.image_shape, 4, encoder_widths=(32,), decoder_widths=(32,)), likelihood='normal', precision='bf16')
    features,outputs = set(),set()
    learn.model.encoder.register_forward_hook(lambda m,i,o: features.add(o.dtype))
    learn.model.register_forward_hook(lambda m,i,o: outputs.add(o.params.dtype))
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    assert (features, outputs)==({torch.bfloat16}, {torch.float32})

@pytest.mark.slow
def test_compiled_model():
    "`compile=True` learns, though from other random numbers; what is compiled computes what the methods compute; samples as ever"
    torch.manual_seed(0)
    dls = image_dls('digits', bs=100)
    learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, 4), likelihood='normal', compile=True, precision='fp32')
    before = evaluate(learn, 'test').elbo.item()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(10, 2e-3)
    assert evaluate(learn, 'test').elbo.item() > before+20
    model,x = learn.model.eval(),dls.valid.one_batch()[0]
    with torch.no_grad(): kl,level = model(x).levels[0].kl(),model.encode(x)[0]
    assert torch.allclose(kl, level.kl(), rtol=1e-4, atol=1e-4)
    assert model.sample(2).shape==(2,1,8,8)

def test_train_numbers_are_of_the_images_as_they_are():
    dls = image_dls('digits', bs=100, random_contrast=True, batch_tfms=RandomFlip())
    assert torch.equal(split_images(dls, 'train'), dls.images.train_images/255)
    assert not torch.equal(dls.train.one_batch()[0], dls.train.one_batch()[0])

def test_training_again_keeps_what_was_learned(learn, dls):
    "`vae_learner` starts an untrained model from the mean image; a trained one it leaves alone"
    before = learn.model.head[1].bias.clone()
    vae_learner(dls, learn.model)
    assert torch.equal(before, learn.model.head[1].bias)

def test_get_preds_and_unreduced_loss(learn, dls):
    with learn.no_bar(): preds,targs,losses = learn.get_preds(dl=split_dl(dls, 'test'), with_loss=True)
    n = len(dls.images.test_images)
    assert preds[0].shape==targs.shape==(n,1,28,28) and preds[1].shape==(n,4) and losses.shape==(n,)

def test_epoch_loss_is_elbo_of_whole_validation(learn, dls):
    "Over sixteen draws for each image, since one draw alone differs by a nat"
    def validated(seed): learn.seeded_validation.seed = seed; return learn.validate()[1]
    try: by_learner = sum(map(validated, range(16)))/16
    finally: learn.seeded_validation.seed = 0
    assert abs(by_learner-sum(evaluate(learn, 'test', seed=seed, pca=False).recon.item() for seed in range(16))/16) < .5

def test_labels_stay_with_their_images(tmp_path):
    "The original shuffled test images and test labels with different seeds"
    x = torch.arange(200, dtype=torch.uint8)[:,None,None,None].expand(200,1,8,8).contiguous()
    y = torch.arange(200)
    images = Images(x[:150], x[150:], y[:150], y[150:], name='aligned')
    write_images(images, tmp_path/'a.npz')
    dls = image_dls(tmp_path/'a.npz', bs=10, valid_pct=.2)
    for split in ('train', 'valid', 'test'):
        pix = (split_images(dls, split)[:,0,0,0]*255).round().long()
        assert (pix==getattr(dls.images, f'{split}_labels')).all()

class Tied(SmallDenseVAE):
    "Arguments handed on, and a layer known by two names"
    def __init__(self, *args, width=30, **kw):
        self.width = width
        super().__init__(*args, **kw)
    def _encoder(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, self.width), nn.ReLU())
        self.first = net[1]
        return net

def test_own_constructor_comes_back(tmp_path):
    m = Tied((1,28,28), 3, width=40, likelihood='normal', noise=.3)
    again = load_vae(save_vae(m, tmp_path/'m'))
    assert again.width==40 and again.likelihood.noise==.3
    x = torch.rand(2,1,28,28)
    assert torch.equal(again.reconstruct(x), m.reconstruct(x))

def test_class_in_a_function_is_refused(tmp_path):
    class Inner(SmallDenseVAE): pass
    with pytest.raises(CheckpointError, match='inside a function'): save_vae(Inner((1,28,28)), tmp_path/'m')

def test_loaded_elsewhere_only_if_imported(tmp_path):
    "A model of this file's class, and one of a module that lies beside it: another process has imported neither, and no file makes it do so"
    save_vae(MyVAE((1,28,28), 3), tmp_path/'mine')
    shutil.copytree(tmp_path/'mine', tmp_path/'beside')
    (tmp_path/'mymodule.py').write_text('from torch import nn\nfrom vae_nbdev import VAE\n' + 'class MyVAE(VAE):\n'
        '    def _encoder(self): return nn.Sequential(nn.Flatten(), nn.Linear(784, 420), nn.ReLU(), nn.Linear(420, 37), nn.Dropout(.5))\n'
        '    def _decoder(self): return nn.Sequential(nn.Linear(self.latent_dim, 200), nn.ReLU(), nn.BatchNorm1d(200))\n')
    recipe = json.loads((tmp_path/'mine/vae.json').read_text())
    (tmp_path/'beside/vae.json').write_text(json.dumps(recipe | dict(model=recipe['model'] | dict(name='mymodule.MyVAE'))))
    code = textwrap.dedent("""
        from vae_nbdev import *
        for name in ('mine', 'beside'):
            try: load_vae(name)
            except CheckpointError as e: print('refused:', e)
        import mymodule
        print(type(load_vae('beside')).__module__)
    """)
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert out.stdout.count('refused:')==out.stdout.count('import the module that defines it first')==2, out.stderr
    assert out.stdout.split()[-1]=='mymodule', out.stderr

def test_demo(tmp_path):
    res = run_demo(tmp_path/'demo', epochs=1, n_per_family=60)
    for nm in ('reconstructions.png', 'samples.png', 'loss.png', 'metrics.json', 'weights.safetensors', 'vae.json'): assert (tmp_path/'demo'/nm).stat().st_size>300
    assert {'elbo','recon','kl','mse','pca_mse'} <= res['evaluation'][1].keys()

def test_save_leaves_the_old_model_when_it_fails(learn, tmp_path, monkeypatch):
    save_vae(learn, tmp_path/'m'); before = (tmp_path/'m/weights.safetensors').read_bytes()
    def full(*a): raise OSError(28, 'No space left on device')
    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError): save_vae(SmallDenseVAE((1,28,28), 9), tmp_path/'m')
    assert (tmp_path/'m/weights.safetensors').read_bytes()==before and sorted(o.name for o in (tmp_path/'m').iterdir())==['vae.json', 'weights.safetensors']
    assert load_vae(tmp_path/'m').latent_dim==4

@pytest.mark.parametrize('call,error,words', [
    (lambda d: DenseVAE(28*28), ValueError, 'channels, height, width'),
    (lambda d: DenseVAE(d.image_shape, latent_dim=2.5), ValueError, 'whole number'),
    (lambda d: DenseVAE(d.image_shape, likelihood='gauss'), ValueError, 'choose one of'),
    (lambda d: DenseVAE(d.image_shape, likelihood='normal', noise=-1), ValueError, 'above 0'),
    (lambda d: DenseVAE(d.image_shape, latents=4), ValueError, 'latents'),
    (lambda d: DenseVAE(d.image_shape, latent=4), TypeError, 'latent'),
    (lambda d: vae_learner(d, DenseVAE((3,32,32))), ValueError, 'dls.image_shape'),
    (lambda d: vae_learner(d, DenseVAE(d.image_shape), beta=-1), ValueError, '0 or more'),
    (lambda d: image_dls('mnits'), DatasetError, 'mnist'),
    (lambda d: image_dls('no/such/file.pkl'), FileNotFoundError, 'file.pkl'),
    (lambda d: image_dls('digits', binarize='treshold'), ValueError, 'threshold'),
    (lambda d: image_dls('digits', whiten=-1), ValueError, 'above 0'),
    (lambda d: image_dls('digits', bs=10.), ValueError, 'number of images'),
    (lambda d: image_dls('digits', steps=2.5), ValueError, 'number of batches'),
    (lambda d: image_dls(d.images, binarise='threshold'), TypeError, 'binarise'),
    (lambda d: DenseVAE(d.image_shape, likelihood=['normal']), ValueError, 'choose one of'),
    (lambda d: BetaWarmup(frac=0), ValueError, 'share'),
    (lambda d: load_vae('nowhere/at/all'), FileNotFoundError, 'no saved model'),
    (lambda d: save_vae(nn.Linear(1,1), 'x'), TypeError, 'Linear')])
def test_wrong_input(call, error, words, dls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words): call(dls)
    assert not list(tmp_path.iterdir())
