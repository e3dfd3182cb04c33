"Runs that are killed, interrupted, damaged, repeated, or begun twice"
import contextlib, json, math, os, resource, shutil, signal, subprocess, sys, time, warnings
from functools import partial
from pathlib import Path
import numpy as np, pytest, torch
from fastai.callback.core import Callback
from fastai.callback.schedule import ParamScheduler, SchedLin
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from fastai.callback.training import GradientAccumulation
from fastai.optimizer import Adam, Lamb, RMSProp
from fastai.torch_core import set_seed
from fastcore.foundation import L
from vae_nbdev import *

here = Path(__file__).parent

def learner(cls=DenseVAE, widths=dict(encoder_widths=(32,), decoder_widths=(32,)), **kwargs):
    set_seed(0)
    dls = image_dls('digits', binarize='threshold', bs=100)
    return vae_learner(dls, cls(dls.image_shape, 2, **widths), **kwargs)

def fit(learn, epochs=2, **kwargs):
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 1e-3, **kwargs)
    return learn

def weights(learn): return torch.cat([p.detach().flatten() for p in learn.model.parameters()])

class FailAt(Callback):
    "Raises at step `n`"
    def __init__(self, n, error=RuntimeError('the power is gone')): self.n,self._error = n,error
    def before_batch(self):
        if self.training and self.train_iter==self.n: raise self._error

@pytest.fixture
def broken(tmp_path):
    "Folder of a run that ended at step 20 of 28"
    with pytest.raises(RuntimeError, match='power'): fit(learner(), seed=1, cbs=FailAt(20), resume=Checkpoint(tmp_path/'run', every=4))
    return tmp_path/'run'

# above ten seconds: two kinds of runs, each once without and once with two kills
@pytest.mark.parametrize('kills', [4, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_runs_end_as_if_they_had_not_been(kills):
    r = subprocess.run([sys.executable, here/'killed.py', str(kills), str(kills)], capture_output=True, text=True, env=os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(here.parent)))
    res = json.loads(r.stdout.splitlines()[-1])
    assert res['kills']==kills and res['runs']>=2 and not res['other'] and not res['errors'], (res, r.stderr)

def test_goes_on_to_the_same_weights(broken):
    whole,learn = fit(learner(), seed=1),fit(learner(), seed=1, resume=broken)
    assert torch.equal(weights(learn), weights(whole)) and learn.recorder.values==whole.recorder.values and learn.recorder.lrs==whole.recorder.lrs
    assert torch.equal(learn.model.decode(torch.ones(1,2)), load_vae(broken).decode(torch.ones(1,2)))
    assert len(list(broken.glob('checkpoint-*')))==2 and not list(broken.glob('.*tmp'))

def test_goes_on_under_a_progress_bar(tmp_path, capsys):
    "A bar that begins at an epoch far from the first"
    run = Checkpoint(tmp_path/'run', every=14)
    with pytest.raises(RuntimeError, match='power'): fit(learner(), 8, seed=1, cbs=FailAt(6*14), resume=run)
    learner().fit_one_cycle(8, 1e-3, seed=1, resume=tmp_path/'run')
    shown = capsys.readouterr().out
    assert all(o in shown for o in ('Going on', 'Epoch 7/8', 'Epoch 8/8'))

def test_channels_last_goes_on_to_the_same_weights(tmp_path):
    "Moments of weights whose channels lie last: a fused step reads memory from end to end"
    def conv(**kwargs): return fit(learner(ConvVAE, dict(encoder_channels=(8,), decoder_channels=(8,8,8))), 1, seed=1, **kwargs)
    with pytest.raises(RuntimeError, match='power'): conv(cbs=FailAt(5), resume=Checkpoint(tmp_path/'run', every=3))
    assert torch.equal(weights(conv(resume=tmp_path/'run')), weights(conv()))

def test_damaged_checkpoints(broken, recwarn):
    new,old = sorted(broken.glob('checkpoint-*'), reverse=True)
    data = bytearray(new.read_bytes()); data[len(data)//2] ^= 4; new.write_bytes(data)
    learn = fit(learner(), seed=1, resume=broken)
    assert any('damaged' in str(w.message) and 'before it' in str(w.message) for w in recwarn) and torch.equal(weights(learn), weights(fit(learner(), seed=1)))
    for f in broken.glob('checkpoint-*'): f.write_bytes(f.read_bytes()[:1000])
    with pytest.warns(), pytest.raises(CheckpointError, match='None of the checkpoints'): fit(learner(), seed=1, resume=broken)

def test_another_run_is_refused(broken):
    set_seed(0)
    dls = image_dls('digits', binarize='threshold', bs=100)
    dls.train.source.images = dls.train.source.images.clone(); dls.train.source.images[3,0,2,2] ^= 1
    with pytest.raises(RuntimeError, match='power'): fit(learner(cbs=CyclicalBeta(2)), cbs=FailAt(20), resume=broken.parent/'cycles')
    with pytest.raises(CheckpointError, match='cyclical_beta.n was 2 and is 3'): fit(learner(cbs=CyclicalBeta(3)), resume=broken.parent/'cycles')
    for learn,epochs,words in ((learner(beta=2.), 2, r'objective\.beta was 1.0 and is 2.0'), (learner(), 3, 'epochs was 2 and is 3'), (learner(likelihood='continuous_bernoulli'), 2, 'another run'),
                               (vae_learner(dls, SmallDenseVAE(dls.image_shape, latent_dim=2)), 2, 'images was'),
                               (vae_learner(dls, SmallDenseVAE(dls.image_shape, latent_dim=3)), 2, 'another run')):
        with warnings.catch_warnings(), pytest.raises(CheckpointError, match=words): warnings.simplefilter('ignore'); fit(learn, epochs, resume=broken)
    assert torch.equal(weights(fit(learner(), seed=1, resume=broken)), weights(fit(learner(), seed=1)))       # nothing was lost by trying

def test_two_runs_in_one_folder(tmp_path):
    class Second(Callback):
        def before_train(self):
            with pytest.raises(CheckpointError, match='in use by another run'): fit(learner(), resume=tmp_path/'run')
    fit(learner(), cbs=Second(), resume=tmp_path/'run')
    fit(learner(), resume=tmp_path/'run')                                      # given back

@pytest.mark.parametrize('name', ['Läufe mit β', 'a b/c', 'x'*200])
def test_names_of_folders(tmp_path, name): assert torch.equal(weights(fit(learner(), 1, seed=1, resume=tmp_path/name)), weights(fit(learner(), 1, seed=1, resume=str(tmp_path/name))))

def test_folders_that_cannot_be(tmp_path):
    (tmp_path/'file').write_text('x'); (tmp_path/'mine').mkdir(); (tmp_path/'mine'/'thesis.txt').write_text('x')
    for p,words in ((tmp_path/'file', 'cannot be a folder'), (tmp_path/'file'/'run', 'cannot be a folder'), (tmp_path/'mine', 'other things'), ('/proc/run', 'cannot be a folder'), ('x'*300, 'cannot be a folder')):
        with pytest.raises(CheckpointError, match=words): fit(learner(), 1, resume=p)
    assert (tmp_path/'mine'/'thesis.txt').read_text()=='x' and len(list((tmp_path/'mine').iterdir()))<=2

@contextlib.contextmanager
def small_disk(path, size):
    "A file system of `size` bytes at `path`; where it may not be mounted, files of that size at most"
    path.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', path], capture_output=True).returncode==0:
        try: yield 'mounted'
        finally: subprocess.run(['umount', '-l', path], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE),signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[0][1]))
    try: yield 'limited'
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, before[0]); signal.signal(signal.SIGXFSZ, before[1])

def test_full_disk(tmp_path):
    learner = partial(globals()['learner'], SmallDenseVAE, {})                 # whose weights are most of a checkpoint
    learn = learner()
    size = sum(p.nbytes for p in learn.model.parameters())                     # a checkpoint is three times that
    class Fill(Callback):
        "Takes the rest of the disk after the first epoch"
        def before_train(self):
            if self.epoch==1 and how=='mounted':
                with contextlib.suppress(OSError): (tmp_path/'disk'/'big').write_bytes(bytes(20*size))
            if self.epoch==1 and how=='limited': resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with small_disk(tmp_path/'disk', 8*size) as how:
        with pytest.raises(CheckpointError, match='cannot be written.*what was there before is kept'): fit(learn, 3, seed=1, cbs=Fill(), resume=tmp_path/'disk'/'run')
        first, = (tmp_path/'disk'/'run').glob('checkpoint-*')
        assert not list((tmp_path/'disk'/'run').glob('.*.tmp'))
        shutil.copytree(tmp_path/'disk'/'run', tmp_path/'moved')
    assert torch.equal(weights(fit(learner(), 3, seed=1, resume=tmp_path/'moved')), weights(fit(learner(), 3, seed=1)))

def test_interrupt_saves_and_says_so(tmp_path, capsys):
    class Interrupt(Callback):
        def before_batch(self):
            if self.training and self.train_iter==17: os.kill(os.getpid(), signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt): fit(learner(), seed=1, cbs=Interrupt(), resume=tmp_path/'run')
    assert 'finishing this step' in (said := capsys.readouterr().out) and 'Saved in' in said and '1 epochs and 4 batches' in said
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.equal(weights(fit(learner(), seed=1, resume=tmp_path/'run')), weights(fit(learner(), seed=1)))

def test_second_interrupt_does_not_wait(tmp_path):
    class Twice(Callback):
        def before_batch(self):
            if self.training and self.train_iter==17: os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt): fit(learner(), seed=1, cbs=Twice(), resume=tmp_path/'run')
    assert torch.equal(weights(fit(learner(), seed=1, resume=tmp_path/'run')), weights(fit(learner(), seed=1)))

def test_diverging_run_keeps_the_last_good_checkpoint(tmp_path):
    class Spoil(Callback):
        def before_batch(self):
            if self.training and self.train_iter==20: self.learn.xb = (self.xb[0]*math.nan,)
    with pytest.raises(FloatingPointError, match=r'The loss is nan in batch 6 of epoch 1: recon is nan, kl is nan'): fit(learner(), seed=1, cbs=Spoil(), resume=Checkpoint(tmp_path/'run', every=4))
    assert torch.equal(weights(fit(learner(), seed=1, resume=tmp_path/'run')), weights(fit(learner(), seed=1)))
    class Explode(Callback):
        def after_step(self):
            if self.train_iter==25:
                with torch.no_grad(): next(self.model.parameters()).fill_(math.inf)
    with pytest.raises(FloatingPointError): fit(learner(), seed=1, cbs=Explode(), resume=Checkpoint(tmp_path/'two', every=1))
    assert torch.equal(weights(fit(learner(), seed=1, resume=tmp_path/'two')), weights(fit(learner(), seed=1)))

def test_the_level_to_blame_is_named():
    dls = image_dls('digits', binarize='threshold', bs=100)
    class Spoiled(ELBO):
        calls = -1                                                             # the first is a trial
        def _kl(self, outcome):
            (names,kl),Spoiled.calls = super()._kl(outcome),Spoiled.calls+1
            return names,kl*torch.tensor([1.,math.inf]) if self.calls==4 else kl
    model = DenseLadderVAE(dls.image_shape, latent_dims=(4,2), encoder_widths=((32,),(16,)), decoder_widths=((32,),(16,)))
    learn = vae_learner(dls, model, objective=Spoiled())
    with pytest.raises(FloatingPointError, match=r'batch 3 of epoch 0: recon is \d+.*, kl_z1 is \d+.*, kl_z2 is inf'): fit(learn)

def test_a_seed_repeats_a_run():
    a,b,c = fit(learner(), seed=3),fit(learner(), seed=3),fit(learner(), seed=4)
    assert torch.equal(weights(a), weights(b)) and not torch.equal(weights(a), weights(c)) and a.recorder.values==b.recorder.values

def test_other_fits_and_what_is_in_the_folder(tmp_path):
    def flat(**kw):
        learn = learner()
        with learn.no_bar(), learn.no_logging(): learn.fit_flat_cos(2, 1e-3, **kw)
        return learn
    set_seed(5)
    whole = flat(cbs=Checkpoint(tmp_path/'run'))
    run = json.loads((tmp_path/'run'/'run.json').read_text())
    assert {'torch', 'fastai', 'python', 'arguments', 'begun', 'commit'} <= run['environment'].keys() and len(run['run']['images'])==64
    assert torch.equal(weights(flat(cbs=Checkpoint(tmp_path/'run'))), weights(whole))

def two(cls, *args): return [cls(*a) if isinstance(a, tuple) else cls(**a) for a in args]

@pytest.mark.parametrize('every', [None, 4])
@pytest.mark.parametrize('cbs', [lambda: GradientAccumulation(250), lambda: ParamScheduler(dict(wd=SchedLin(.1, 0.))), lambda: two(ReduceLROnPlateau, dict(monitor='elbo', patience=0, min_delta=99, factor=3), dict(monitor='recon', patience=1, min_delta=99)),
                                 lambda: two(EarlyStoppingCallback, dict(monitor='elbo', patience=3, min_delta=-9), dict(monitor='kl', comp=np.less, patience=1, min_delta=-99))])
def test_callbacks_that_hold_something_go_on(cbs, every, tmp_path):
    def flat(stop=None, **kw):
        learn = learner()
        with learn.no_bar(), learn.no_logging(): learn.fit(3, 1e-3, seed=1, cbs=L(cbs())+L(stop), **kw)
        return learn
    whole = flat()
    with pytest.raises(RuntimeError, match='power'): flat(FailAt(20), resume=Checkpoint(tmp_path/'run', every=every))
    learn = flat(resume=tmp_path/'run')
    assert torch.equal(weights(learn), weights(whole)) and learn.recorder.values==whole.recorder.values and learn.recorder.lrs==whole.recorder.lrs

class Average(Callback):
    "Means of the weights, with an optimiser and a schedule of its own, some under a name that begins with _"
    def before_fit(self):
        self.mean = torch.optim.swa_utils.AveragedModel(self.learn.model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(.9))
        self._scale = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.ones_(self._scale.weight)
        self.opt_of_scale = torch.optim.Adam(self._scale.parameters(), lr=.1)
        self.rate = torch.optim.lr_scheduler.StepLR(self.opt_of_scale, 5)
        self.model_too,self.layers,self.comp = self.learn.model,[*self.learn.model.children()],np.less
    def after_step(self):
        self.mean.update_parameters(self.learn.model)
        self._scale(self.learn.loss.view(1, 1)).sum().backward()
        for o in (self.opt_of_scale, self.rate): o.step()
        self.opt_of_scale.zero_grad()

@pytest.mark.parametrize('every', [None, 4])
def test_modules_of_callbacks_go_on(every, tmp_path, recwarn):
    whole = fit(learner(cbs=Average()), seed=1)
    with pytest.raises(RuntimeError, match='power'): fit(learner(cbs=Average()), seed=1, cbs=FailAt(20), resume=Checkpoint(tmp_path/'run', every=every))
    learn = fit(learner(cbs=Average()), seed=1, resume=tmp_path/'run')
    held = lambda l: [*l.average.mean.state_dict().values(), *l.average._scale.state_dict().values()]
    assert all(torch.equal(a, b) for a,b in zip(held(whole), held(learn), strict=True)) and int(learn.average.mean.n_averaged)==28
    assert learn.average.rate.get_last_lr()==whole.average.rate.get_last_lr() and not any('cannot keep' in str(w.message) for w in recwarn)
    for cbs in (None, type('Average', (Callback,), {})()):
        with pytest.raises(CheckpointError, match=r'average\.mean, and this call does not'): fit(learner(cbs=cbs), seed=1, resume=tmp_path/'run')

def test_what_a_checkpoint_cannot_keep_is_said_once(tmp_path):
    class Log(Callback):
        not_kept = 'lock'
        def before_fit(self):
            self.file,self.rule,self.lock = open(tmp_path/'log', 'w'),lambda: 1,contextlib.suppress()
            self.path,self.steps,self.f = tmp_path/'log',{'a': 1},math.sqrt
        def after_fit(self): self.file.close()
    with warnings.catch_warnings(record=True) as said: warnings.simplefilter('always'); fit(learner(cbs=Log()), resume=Checkpoint(tmp_path/'run', every=4))
    said = [str(w.message) for w in said if 'cannot keep' in str(w.message)]
    assert len(said)==1 and 'cannot keep log.file, log.rule, so' in said[0]

def test_callbacks_of_the_libraries_are_silent(tmp_path, recwarn):
    cbs = [BetaWarmup(), EarlyStoppingCallback(monitor='elbo'), SaveModelCallback(monitor='elbo'), ReduceLROnPlateau(monitor='elbo'), GradientAccumulation(100),
           ParamScheduler(dict(wd=SchedLin(.1, 0.))), GifCallback(tmp_path/'film.gif', n=4, show=False), WatchCallback(live=False)]
    learn = learner(path=tmp_path, cbs=cbs)
    with learn.no_logging(): learn.fit_one_cycle(1, 1e-3, resume=tmp_path/'run')          # with its progress bar
    assert not [w for w in recwarn if 'cannot keep' in str(w.message)]

@pytest.mark.parametrize('every', [None, 4])
def test_a_run_that_stopped_early_is_whole(every, tmp_path):
    def stopped():
        learn,seen = learner(),Counter()
        with learn.no_bar(), learn.no_logging():
            learn.fit(9, 1e-3, seed=1, cbs=[EarlyStoppingCallback(monitor='elbo', min_delta=999, patience=1), seen], resume=Checkpoint(tmp_path/'run', every=every))
        return weights(learn),seen.batches,learn.elbo_history.rows
    (w,n,rows),(again,none,rows2) = stopped(),stopped()
    assert (n,none)==(28,0) and torch.equal(w, again) and rows==rows2

class Counter(Callback):
    "Counts batches of training of this fit alone"
    not_kept = 'batches'
    def before_fit(self): self.batches = 0
    def before_batch(self): self.batches += self.training

def test_frozen_weights_stay_so(tmp_path):
    def frozen():
        learn = learner()
        learn.model.encoder.requires_grad_(False)
        return learn
    with pytest.raises(RuntimeError, match='power'): fit(frozen(), cbs=FailAt(20), resume=tmp_path/'run')
    with pytest.raises(CheckpointError, match='frozen was'): fit(learner(), resume=tmp_path/'run')
    learn = fit(frozen(), resume=tmp_path/'run')
    is_frozen = lambda m: [not p.requires_grad for p in m.parameters()]
    assert is_frozen(load_vae(tmp_path/'run'))==is_frozen(learn.model) and any(is_frozen(learn.model))

def test_a_warm_up_that_was_interrupted_leaves_beta_whole():
    learn = learner()
    learn.remove_cb(learn.elbo_history)                                        # the schedule does it itself
    with pytest.raises(RuntimeError, match='power'): fit(learn, 4, cbs=[BetaWarmup(by='batch'), FailAt(5)])
    assert learn.objective.warmup==1.
    fit(learn, 1)
    assert learn.recorder.values[-1][4]==1.

def test_history_has_no_row_of_a_validation_after_an_interruption():
    learn = learner()
    class Stop(Callback):
        def before_validate(self):
            if self.epoch==0 and self.n_epoch==2: raise RuntimeError('stop')
    with pytest.raises(RuntimeError, match='stop'): fit(learn, cbs=Stop())
    with learn.no_bar(): learn.validate()
    assert learn.elbo_history.table.split.tolist()==['train']

def test_two_savers_keep_their_names(tmp_path):
    savers = lambda: two(SaveModelCallback, dict(monitor='elbo', fname='a'), dict(monitor='kl', comp=np.less, fname='b'))
    with pytest.raises(RuntimeError, match='power'): fit(learner(path=tmp_path), cbs=savers()+[FailAt(20)], resume=tmp_path/'run')
    again = savers()
    fit(learner(path=tmp_path), cbs=again, resume=tmp_path/'run')
    assert [cb.fname for cb in again]==['a', 'b']

def test_plateaus_lower_the_rate():
    learn = learner()
    with learn.no_bar(), learn.no_logging(): learn.fit(3, 1e-3, cbs=ReduceLROnPlateau(monitor='elbo', patience=0, min_delta=1e6))
    assert learn.recorder.lrs[-1]==pytest.approx(1e-4)

def test_validation_is_no_fit(tmp_path):
    film = GifCallback(tmp_path/'film.gif', n=4, show=False)
    learn = learner(cbs=[Checkpoint(tmp_path/'run'), film, WatchCallback(live=False)])
    before = signal.getsignal(signal.SIGINT)
    learn.validate()
    assert not (tmp_path/'run').exists() and signal.getsignal(signal.SIGINT) is before
    fit(learn)
    with torch.no_grad(): next(learn.model.parameters()).zero_()               # what came after the run
    files,data,points = {f: f.read_bytes() for f in (tmp_path/'run').iterdir()},film.path.read_bytes(),len(learn.watch.points)
    w = weights(learn)
    learn.validate()
    assert torch.equal(weights(learn), w) and {f: f.read_bytes() for f in (tmp_path/'run').iterdir()}==files
    assert film.path.read_bytes()==data and len(film.frames)>2 and len(learn.watch.points)==points

def test_a_folder_of_others_is_left_as_it_was(tmp_path):
    for name,files in (('a', {'thesis.txt': 'x', '.mine.tmp': 'y'}), ('b', {'run.json': '{"mine": 1}', 'data.csv': 'z'})):
        folder = tmp_path/name
        folder.mkdir()
        for k,v in files.items(): (folder/k).write_text(v)
        with pytest.raises(CheckpointError, match='other things'): fit(learner(), 1, resume=folder)
        assert {f.name: f.read_text() for f in folder.iterdir()}==files
    (tmp_path/'c').mkdir(); (tmp_path/'c'/'.run.json.0a1b2c3d.tmp').write_text('{')        # killed while it wrote the first file
    fit(learner(), 1, resume=tmp_path/'c')
    assert not list((tmp_path/'c').glob('.*'))

def test_an_error_gives_the_folder_back(tmp_path):
    before,learn = signal.getsignal(signal.SIGINT),learner()
    with pytest.raises(RuntimeError, match='power'): fit(learn, 1, cbs=FailAt(0), resume=tmp_path/'run')
    assert signal.getsignal(signal.SIGINT) is before
    fit(learner(likelihood='continuous_bernoulli'), 1, resume=tmp_path/'other'); shutil.rmtree(tmp_path/'run'); fit(learner(), 1, resume=tmp_path/'run')

@pytest.mark.parametrize('a,b,words', [(dict(objective=IWAE(3)), dict(objective=IWAE(5)), 'draws was 3 and is 5'), (dict(opt_func=Adam), dict(opt_func=Lamb), 'optimiser'), (dict(), dict(opt_func=RMSProp), 'optimiser|hyper')])
def test_another_objective_or_optimiser_is_refused(a, b, words, tmp_path):
    with pytest.raises(RuntimeError, match='power'): fit(learner(**a), cbs=FailAt(20), resume=tmp_path/'run')
    with pytest.raises(CheckpointError, match=words): fit(learner(**b), resume=tmp_path/'run')

def test_another_transform_is_refused(tmp_path):
    def noisy(p):
        dls = image_dls('digits', bs=100, batch_tfms=RandomFlip(p))
        return vae_learner(dls, SmallDenseVAE(dls.image_shape, 2), likelihood='normal')
    with pytest.raises(RuntimeError, match='power'): fit(noisy(.5), cbs=FailAt(20), resume=tmp_path/'run')
    with pytest.raises(CheckpointError, match='transforms was'): fit(noisy(.9), resume=tmp_path/'run')
    fit(noisy(.5), resume=tmp_path/'run')

def test_one_checkpoint_after_a_damaged_one(broken):
    new,old = sorted(broken.glob('checkpoint-*'), reverse=True)
    new.write_bytes(new.read_bytes()[:500])
    with pytest.warns(UserWarning, match='damaged'), pytest.raises(RuntimeError): fit(learner(), seed=1, cbs=FailAt(18), resume=Checkpoint(broken, every=1, keep=1))
    assert torch.equal(weights(fit(learner(), seed=1, resume=broken)), weights(fit(learner(), seed=1)))

def test_the_clock_of_results_does_not_run_while_nothing_does(tmp_path, monkeypatch):
    from vae_nbdev.results import _Clock
    first,clock = _Clock(),_Clock()
    with pytest.raises(RuntimeError): fit(learner(), cbs=[first, FailAt(20)], resume=Checkpoint(tmp_path/'run', every=3))
    now,clock_now = time.time(),time.time
    monkeypatch.setattr('vae_nbdev.results.time.time', lambda: clock_now()+1000)          # a quarter of an hour goes by
    fit(learner(), cbs=clock, resume=tmp_path/'run')
    assert 0<clock.seconds<first.seconds+clock_now()-now
