"""Runs that are killed at random moments end as if they had not been: `python tests/killed.py 50` kills 50 times and prints what came of it.

The library is imported once; each try is a fork of that process, killed by SIGKILL somewhere in its training."""
import contextlib, json, os, random, signal, sys, tempfile, time, warnings
from pathlib import Path

def train(kind, folder):
    "A run of `kind` in `folder`, or what is left of it"
    import torch
    from fastai.optimizer import Adam
    from fastai.torch_core import set_seed
    from vae_nbdev import BetaWarmup, Checkpoint, DenseLadderVAE, IWAE, SmallDenseVAE, image_dls, vae_learner
    torch.set_num_threads(1); set_seed(0)
    widths = dict(encoder_widths=((64,),(32,)), decoder_widths=((64,),(32,)))
    if kind=='flat':
        dls = image_dls('digits', binarize='threshold', bs=100)
        learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, latent_dim=4), cbs=BetaWarmup(by='batch'))
    elif kind=='ladder':                                                       # draws contrasts too, counts active units
        dls = image_dls('digits', bs=100, random_contrast=True)
        learn = vae_learner(dls, DenseLadderVAE(dls.image_shape, latent_dims=(4,2), **widths), likelihood='normal', noise='learned', cbs=BetaWarmup())
    else:                                                                      # fastai's own optimiser, several draws, pixels drawn anew
        dls = image_dls('digits', binarize='sample', bs=100)
        learn = vae_learner(dls, SmallDenseVAE(dls.image_shape, latent_dim=4), objective=IWAE(3), opt_func=Adam)
    with learn.no_bar(), learn.no_logging(), contextlib.redirect_stdout(None): learn.fit_one_cycle(8, 1e-3, seed=1, resume=Checkpoint(folder, every=3))

def forked(kind, folder, delay=None):
    "Train in a fork, killed after `delay` seconds; its exit status, None where it was killed"
    pid = os.fork()
    if not pid:
        try: warnings.simplefilter('ignore'); train(kind, folder); os._exit(0)
        except BaseException as e: print(f'{type(e).__name__}: {e}', file=sys.stderr, flush=True); os._exit(1)
    end = time.time()+(delay if delay is not None else 300)
    while time.time()<end:
        done,status = os.waitpid(pid, os.WNOHANG)
        if done: return os.waitstatus_to_exitcode(status)
        time.sleep(.002)
    os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)

def last(folder):
    "Checksum of the state at the end"
    from safetensors import safe_open
    with safe_open(max(Path(folder).glob('checkpoint-*.safetensors')), 'pt') as f: return f.metadata()['sha256']

def main(kills, seed=0, kinds=('flat', 'ladder', 'iwae')):
    "Kill runs `kills` times: how often they were killed, how many runs that was, and how many ended in another state than one that was not killed"
    import vae_nbdev                                                           # before the forks
    rng,res = random.Random(seed),dict(kills=0, runs=0, other=0, errors=0)
    with tempfile.TemporaryDirectory() as d:
        whole,most = {},-(-kills//len(kinds))                                  # kills of a run, so that few are not all of one kind
        while res['kills']<kills:
            kind,folder,left = kinds[res['runs']%len(kinds)],f'{d}/run{res["runs"]}',most
            if kind not in whole:
                start = time.time()
                assert forked(kind, f'{d}/{kind}')==0
                whole[kind] = last(f'{d}/{kind}'),time.time()-start
            state,seconds = whole[kind]
            while (status := forked(kind, folder, rng.uniform(.05, .6)*seconds if left and res['kills']<kills else None)) is None: res['kills'],left = res['kills']+1,left-1
            res['runs'] += 1
            if status: res['errors'] += 1
            elif last(folder)!=state: res['other'] += 1
    return res

if __name__=='__main__': print(json.dumps(main(int(sys.argv[1]) if sys.argv[1:] else 50, int(sys.argv[2]) if sys.argv[2:] else 0)))
