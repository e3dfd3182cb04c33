"Images a second of sampling, and importance weights a second: ours, and the same by hand."
import time
import torch
from vae_nbdev import *
from training import nets, BareVAE, wait

def timed(f, n, device):
    "n / seconds of `f()`, without gradients"
    def run():
        wait(device); start = time.perf_counter()
        with torch.no_grad(): f()
        wait(device)
        return n/(time.perf_counter() - start)
    return run

def sampling(name, n, device='cpu'):
    vae,bare = nets[name].model((1,28,28)).to(device).eval(),BareVAE(nets[name]).to(device).eval()
    return {'vae.sample': timed(lambda: vae.sample(n), n, device),
            'bare loop': timed(lambda: bare.head(bare.decoder(torch.randn(n, 16, device=device))).sigmoid(), n, device)}

def weights(name, n, k, device='cpu'):
    "log p(x,z) - log q(z|x) for `k` draws of each of `n` images"
    vae,bare = nets[name].model((1,28,28)).to(device).eval(),BareVAE(nets[name]).to(device).eval()
    x = torch.bernoulli(torch.full((n,1,28,28), .3, device=device))
    def by_hand():
        flat = x.flatten(1)
        mu,logvar = bare.latents(bare.encoder(flat)).chunk(2, 1)
        eps = torch.randn(k, *mu.shape, device=device)
        z = mu + torch.exp(.5*logvar)*eps
        logits = bare.head(bare.decoder(z.flatten(0, 1))).view(k, n, -1)
        log_px = -torch.nn.functional.binary_cross_entropy_with_logits(logits, flat.expand(k, -1, -1), reduction='none').sum(2)
        return log_px - .5*z.square().sum(2) + .5*(eps.square() + logvar).sum(2)
    return {'vae.log_weights': timed(lambda: vae.log_weights(x, k), n*k, device), 'bare loop': timed(by_hand, n*k, device)}
