"Two processes that train together on a CPU, over gloo: started once for all that is looked at here"
import contextlib, json, multiprocessing, os, subprocess, sys, warnings
from pathlib import Path
import fastai.distributed, pytest, torch
from fastai.callback.core import Callback
from fastai.torch_core import set_seed
from vae_nbdev import *

class Certain(SmallDenseLadderVAE):
    "Draws are means, so that numbers do not depend on who draws what"
    def top_down(self, features, draws=1, draw=None, lowest=0): return super().top_down(features, draws, lambda q, k: q.mean.repeat(k, 1), lowest)

class Draws(Callback):
    "Notes the random number that would come next in the first batch of training, and of validation"
    def before_fit(self): self.next = []
    def before_batch(self):
        with torch.random.fork_rng(devices=[]):
            if self.iter==0: self.next.append(torch.rand(1).item())

def digits(bs=30):
    "61 validation images, so that one of two processes has 30 and one again, in a batch of its own"
    images = load_dataset('digits')
    images.train_images,images.train_labels = images.train_images[:60],images.train_labels[:60]
    images.test_images,images.test_labels = images.test_images[:61],images.test_labels[:61]
    return image_dls(images, bs=bs, binarize='threshold', device='cpu')

def learner(cls, *args, **kwargs):
    set_seed(0)
    dls = digits()
    return vae_learner(dls, cls(dls.image_shape, *args), precision='fp32', **kwargs)

def together(learn, several): return learn.distrib_ctx(cpu=True) if several else contextlib.nullcontext()

def counted(several, **kwargs):
    "What a learner whose weights stay as they are says of the images"
    learn = learner(Certain, (8,2), **kwargs)
    with learn.no_bar(), learn.no_logging(), together(learn, several):
        learn.fit(1, 0.)
        table,values = learn.elbo_history.table,dict(zip(learn.recorder.metric_names[1:], learn.recorder.values[-1]))
        validated = learn.validate()
    a = learn.active_units
    return dict(train=table.iloc[0].drop('split').to_dict(), valid=table.iloc[1].drop('split').to_dict(), columns={k: v for k,v in values.items() if k!='train_loss'},
                validated=list(validated), units=(a.kl/a.n).tolist(), images=int(a.n))

def drawn(several, seed):
    "Random numbers of a run, its weights, and what validation says"
    draws = Draws()
    learn = learner(SmallDenseVAE, 2, cbs=draws)
    with learn.no_bar(), learn.no_logging(), together(learn, several): learn.fit(2, 1e-3, seed=seed)
    return dict(next=draws.next, weights=torch.cat([p.detach().flatten() for p in learn.model.parameters()]).tolist(), values=[list(v) for v in learn.recorder.values])

def coded(several):
    "The codebook after two epochs in which nothing else moves, and the use of its codes"
    set_seed(0)
    dls = digits(bs=30 if several else 60)          # a process sees its half
    latents = dict(name='vq', n=8, decay=.5, restart=0.)
    learn = vae_learner(dls, VQVAE(dls.image_shape, 4, latents=latents, down=1, channels=8, hidden=4), precision='fp32')
    with learn.no_bar(), learn.no_logging(), together(learn, several): learn.fit(2, 0.)
    stage = learn.model.stages[0]
    return dict(book=stage.codebook.tolist(), count=stage.count.tolist(), use=list(learn.recorder.values[-1][-2:]))

def deceived(several):
    "A model and its discriminator after two epochs"
    adversary = Adversarial(start=0, layers=1, width=4)
    learn = learner(SmallDenseVAE, 2, cbs=adversary)
    with learn.no_bar(), learn.no_logging(), together(learn, several): learn.fit(2, 1e-3)
    return [torch.cat([p.detach().flatten() for p in net.parameters()]).tolist() for net in (learn.model, adversary.net)]

def measured(several):
    noisy = learner(SmallDenseVAE, 2)
    with noisy.no_bar(), together(noisy, several): validated = list(noisy.validate())
    return dict(noisy=validated, elbo=counted(several), iwae=counted(several, objective=IWAE(2)), codes=coded(several), adversary=deceived(several), first=drawn(several, 1), again=drawn(several, 1), other=drawn(several, 2))

def process(rank, folder):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='localhost', MASTER_PORT='29500')   # as `torchrun` does; the port stays unused
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    (folder/f'{rank}.json').write_text(json.dumps(measured(True)))
    torch.distributed.destroy_process_group()

@pytest.fixture(scope='module')
def results(tmp_path_factory):
    "Of one process, and of each of two, which are forks of a third: the library is imported once for both"
    folder = tmp_path_factory.mktemp('processes')
    env = os.environ | dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(Path(__file__).parents[1]))
    two = subprocess.Popen([sys.executable, __file__, folder], env=env, stdout=subprocess.DEVNULL)
    one = measured(False)
    try: assert two.wait(300)==0                                               # above ten seconds on a busy machine: three processes
    finally: two.kill()
    return one,*(json.loads((folder/f'{rank}.json').read_text()) for rank in range(2))

def test_processes_have_one_discriminator(results):
    one,first,second = (o['adversary'] for o in results)
    assert first==second and first!=one

@pytest.mark.parametrize('objective', ['elbo', 'iwae'])
def test_each_image_counts_once(objective, results):
    one,first,second = (o[objective] for o in results)
    assert first==second and first['images']==one['images']==61
    for k in ('train', 'valid', 'columns'): assert first[k]==pytest.approx(one[k], rel=1e-5), k
    for k in ('validated', 'units'): assert first[k]==pytest.approx(one[k], rel=1e-5), k
    assert first['columns']['valid_loss']==pytest.approx(first['valid']['loss'], rel=1e-5)

def test_each_process_has_noise_of_its_own(results):
    one,first,second = (o['first']['next'] for o in results)
    assert len(first)==len(second)==4                                          # two epochs, training and validation
    assert all(a!=b for a,b in zip(first, second))
    assert first[1]==first[3]==one[1] and second[1]==second[3]                 # validation repeats

def test_a_seed_repeats_a_run(results):
    for one in results:
        assert one['first']['next']==one['again']['next'] and one['first']['weights']==one['again']['weights'] and one['first']['values']==one['again']['values']
        assert one['first']['weights']!=one['other']['weights'] and one['first']['next'][0]!=one['other']['next'][0]
    assert results[1]['first']['weights']==results[2]['first']['weights']      # the processes agree

def test_two_processes_say_what_one_does(results):
    (loss,recon,kl,*_),(loss2,recon2,kl2,*_) = (o['noisy'] for o in results[:2])
    assert (loss2,recon2)==pytest.approx((loss,recon), rel=.01) and recon2!=recon      # other draws
    assert kl2==pytest.approx(kl, rel=1e-5)                                    # in closed form

def test_codes_follow_the_images_of_all_processes(results):
    one,first,second = (o['codes'] for o in results)
    assert first==second
    for k in one: assert torch.allclose(torch.tensor(first[k]), torch.tensor(one[k]), atol=1e-4), k

if __name__=='__main__':
    processes = [multiprocessing.get_context('fork').Process(target=process, args=(rank, Path(sys.argv[1])), daemon=True) for rank in range(2)]
    for p in processes: p.start()
    for p in processes: p.join(240)
    sys.exit([p.exitcode for p in processes]!=[0, 0])
