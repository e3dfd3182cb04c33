"""Every notebook of the library run as a test, each in a process of its own that is forked from one where the library is imported already.
Tutorials train on real data, for minutes: they are in tests/test_tutorials.py."""
import contextlib, io, multiprocessing, time
from pathlib import Path
import pytest
from nbdev.test import test_nb as run_notebook
run_notebook.__test__ = False                                                  # pytest would take it for a test

root = Path(__file__).parents[1]
nbs  = [p for p in sorted((root/'nbs').rglob('*.ipynb')) if p.parent.name!='tutorials' and '.ipynb_checkpoints' not in p.parts]

def ran(path, force, queue):
    "Run a notebook here; send whether it passed, and what it printed where it did not"
    import matplotlib; matplotlib.use('Agg')
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
        passed,_ = run_notebook(path, skip_flags=['notest', 'slow'], force_flags=force, basepath=root)
    queue.put((passed, err.getvalue()))

@pytest.fixture(scope='session')
def processes():
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(['vae_nbdev', 'nbdev.test'])
    return ctx

def check(path, processes, force=(), timeout=600):
    queue = processes.SimpleQueue()
    p = processes.Process(target=ran, args=(path, list(force), queue))
    p.start()
    end = time.time()+timeout
    while queue.empty() and p.is_alive() and time.time()<end: time.sleep(.05)
    passed,said = queue.get() if not queue.empty() else (False, f'{path.name} ended with status {p.exitcode}, or took more than {timeout} s')
    p.kill(); p.join()
    assert passed, said[-6000:]

# above ten seconds: those that train what they show (the learner, the guide, watching, a prior after training), and estimates over many draws (latents, receptive fields)
@pytest.mark.parametrize('path', nbs, ids=lambda p: str(p.relative_to(root/'nbs')))
def test_notebook(path, processes): check(path, processes)
