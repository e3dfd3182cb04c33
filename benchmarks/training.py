"Images a second of training: our Learner, the same network in a bare torch loop with one trick after the other, Pythae, and the matrix products alone."
import contextlib, io, logging, time, warnings
from dataclasses import dataclass
import torch
from torch import nn
from torch.nn import functional as F
from fastai.callback.core import Callback
from vae_nbdev import *
from vae_nbdev.train.speed import has_bfloat16

@dataclass
class Net:
    "A network, for ours and for the bare loop"
    model: type
    encoder: tuple
    decoder: tuple

nets = dict(dense=Net(DenseVAE, (1024,512,512,256,256), (512,512,1024,1024,2048)), small=Net(SmallDenseVAE, (420,210,105), (200,400,800)))

def random_images(n, shape=(1,28,28)):
    g = torch.Generator().manual_seed(0)
    return Images(*(torch.randint(256, (k,*shape), dtype=torch.uint8, generator=g) for k in (n, 100)), name='random')

def wait(device):
    if torch.device(device).type=='cuda': torch.cuda.synchronize()

# -- ours -------------------------------------------------------------------------------------------------------------

class TrainTime(Callback):
    "Seconds of the training part of the last epoch"
    def before_epoch(self): wait(self.dls.device); self.start = time.perf_counter()
    def after_train(self): wait(self.dls.device); self.seconds = time.perf_counter() - self.start

def ours(model, images, bs, device, **kwargs):
    "One epoch of our Learner, progress bar and all; validation is left out of the time"
    dls = image_dls(images, bs=bs, binarize='threshold', device=device)
    learn = vae_learner(dls, model, cbs=[BetaWarmup(), timer := TrainTime()], **kwargs)
    def run():
        with contextlib.redirect_stdout(io.StringIO()): learn.fit(1, 1e-4)
        return len(dls.train)*bs/timer.seconds
    return run

class PartTime(Callback):
    "Images a second of every `n` steps"
    run_valid = False
    def __init__(self, n): self.n,self.speeds,self.start = n,[],None
    def before_batch(self):
        if self.train_iter%self.n==0: self.note()
    def after_train(self): self.note()
    def note(self):
        wait(self.dls.device); now = time.perf_counter()
        if self.start: self.speeds.append(self.n*self.dls.train.bs/(now-self.start))
        self.start = now

def parts(source, steps, n, device, flush, **kwargs):
    "Images a second of every `n` steps of one epoch of `steps`, on real images"
    torch.manual_seed(0)
    dls = image_dls(source, bs=100, steps=steps, device=device, **kwargs)
    learn = vae_learner(dls, DenseVAE(dls.image_shape, 16), likelihood='normal', cbs=(timer := PartTime(n)))
    if not flush: learn.remove_cb(learn.flush_denormals)
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 3e-4)
    return timer.speeds[:steps//n]

# -- bare torch -------------------------------------------------------------------------------------------------------

def mlp(*widths): return nn.Sequential(*[l for a,b in zip(widths, widths[1:]) for l in (nn.Linear(a, b), nn.ReLU())])

class BareVAE(nn.Module):
    "The least that is a VAE of linear layers"
    def __init__(self, net, d=16, n=784):
        super().__init__()
        self.encoder,self.latents = mlp(n, *net.encoder),nn.Linear(net.encoder[-1], 2*d)
        self.decoder,self.head = mlp(d, *net.decoder),nn.Linear(net.decoder[-1], n)

    def forward(self, x):
        mu,logvar = self.latents(self.encoder(x)).float().chunk(2, 1)
        z = mu + torch.exp(.5*logvar)*torch.randn_like(mu)
        return self.head(self.decoder(z)).float(),.5*(mu.square() + logvar.exp() - 1 - logvar).sum(1)

def bare(model, images, bs, device, opt=lambda ps: torch.optim.Adam(ps, 1e-4), bf16=False, flat=True, compile=None):
    "One epoch of a loop by hand; a flat `model` gives parameters and KL, one of ours an `Outcome`"
    X,model = images.train_images.to(device),model.to(device)
    step_model = torch.compile(model, mode=compile) if compile else model
    opt = opt(model.parameters())
    def run():
        model.train(); wait(device)
        start = time.perf_counter()
        for idxs in torch.randperm(len(X), device=device).split(bs):
            x = (X[idxs].float().div_(255) >= .5).float()
            if flat: x = x.flatten(1)
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16): out = step_model(x)
            logits,kl = out if flat else (out.params, sum(level.kl() for level in out.levels))
            loss = (F.binary_cross_entropy_with_logits(logits, x, reduction='sum') + kl.sum())/len(x)
            loss.backward(); opt.step(); opt.zero_grad()
        wait(device)
        return len(X)/(time.perf_counter() - start)
    return run

def fused(ps): return torch.optim.Adam(ps, 1e-4, fused=True)

# -- Pythae -----------------------------------------------------------------------------------------------------------

def pythae(net, images, bs, device):
    "One epoch of Pythae's trainer on the same network; its images are made binary beforehand"
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE as PythaeVAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)                                # Pythae tells much
    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.net,self.mu,self.logvar = mlp(784, *net.encoder),nn.Linear(net.encoder[-1], 16),nn.Linear(net.encoder[-1], 16)
        def forward(self, x):
            h = self.net(x.flatten(1))
            return ModelOutput(embedding=self.mu(h), log_covariance=self.logvar(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(mlp(16, *net.decoder), nn.Linear(net.decoder[-1], 784), nn.Sigmoid())
        def forward(self, z): return ModelOutput(reconstruction=self.net(z).view(-1, 1, 28, 28))

    x = (images.train_images >= 128).float()
    model = PythaeVAE(VAEConfig(input_dim=(1,28,28), latent_dim=16, reconstruction_loss='bce'), Encoder(), Decoder())
    config = BaseTrainerConfig(output_dir='runs/bench/pythae', per_device_train_batch_size=bs, learning_rate=1e-4, no_cuda=torch.device(device).type=='cpu')
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=config)
    trainer.prepare_training()
    def run():
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            wait(device); start = time.perf_counter()
            trainer.train_step(1)
            wait(device)
        return len(x)/(time.perf_counter() - start)
    return run

# -- the limit --------------------------------------------------------------------------------------------------------

def products(net, n, bs, device, dtype):
    "The matrix products of forward and backward alone, as many as `n` images need"
    ends = [784, *net.encoder, 32], [16, *net.decoder, 784]
    layers = [(torch.randn(bs, a, device=device, dtype=dtype), torch.randn(a, b, device=device, dtype=dtype), torch.randn(bs, b, device=device, dtype=dtype))
              for widths in ends for a,b in zip(widths, widths[1:])]
    def run():
        wait(device); start = time.perf_counter()
        for _ in range(n//bs):
            for i,(x,w,g) in enumerate(layers):
                x@w; x.T@g
                if i: g@w.T                                      # nobody asks for the gradient of the images
        wait(device)
        return n/(time.perf_counter() - start)
    return run

# -- all ----------------------------------------------------------------------------------------------------------------

def contenders(name, bs, n, device='cpu', compile=False):
    "Name -> function, for one of `nets`"
    net,images = nets[name],random_images(n)
    bf16 = has_bfloat16(device)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        res = {'Learner': ours(net.model((1,28,28)), images, bs, device)}
        if bf16: res['Learner, float32'] = ours(net.model((1,28,28)), images, bs, device, precision='fp32')
        res['bare loop'] = bare(BareVAE(net), images, bs, device)
        res['+ fused Adam'] = bare(BareVAE(net), images, bs, device, fused)
        if bf16: res['+ bfloat16'] = bare(BareVAE(net), images, bs, device, fused, True)
        if compile: res['Learner, compile=True'] = ours(net.model((1,28,28)), images, bs, device, compile=True)
        if compile: res['+ torch.compile'] = bare(BareVAE(net), images, bs, device, fused, bf16, compile='default')
        res['our model in that loop'] = bare(net.model((1,28,28)), images, bs, device, fused, bf16, flat=False)
        try: res['Pythae'] = pythae(net, images, bs, device)
        except ImportError: print('Pythae is not installed, so it is left out: .venv/bin/python -m pip install pythae==0.1.2')
        res['matrix products alone, float32'] = products(net, n, bs, device, torch.float32)
        if bf16: res['matrix products alone, bfloat16'] = products(net, n, bs, device, torch.bfloat16)
    return res
