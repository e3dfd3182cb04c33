"Slow tests run with --slow; every test starts from the same random state, on one thread where processes share the cores; the longest begin first."
import os, random, re
import matplotlib, pytest
matplotlib.use('Agg')
import numpy as np, torch
if 'PYTEST_XDIST_WORKER' in os.environ: torch.set_num_threads(1)

def pytest_addoption(parser): parser.addoption('--slow', action='store_true', help='also run what takes minutes')

first = 'test_site', 'test_hostile', 'test_tutorials', 'test_notebooks'        # long ones, so that no process is left alone with one at the end

def pytest_collection_modifyitems(config, items):
    rank = {name: i for i,name in enumerate(first)}
    items.sort(key=lambda it: rank.get(it.path.stem, len(first)))
    if config.getoption('--slow'): return
    for it in items:
        if 'slow' in it.keywords: it.add_marker(pytest.mark.skip(reason='needs --slow'))

alone = re.compile(r'test_(notebooks|tutorials)\.py|test_hostile\.py::(?!test_attacks|test_memory)')

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "Tests of a file run in one process, which makes what they share once; notebooks and kinds of files go to whoever is free (`loadgroup` of xdist 3.8 does nothing under pytest 9.2)"
    from xdist.scheduler import LoadScopeScheduling
    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid): return nodeid if alone.search(nodeid) else nodeid.split('::')[0]
    config.option.loadscopereorder = False                                     # the order is the one above
    return Scheduler(config, log)

@pytest.fixture(autouse=True)
def seeded():
    random.seed(0); np.random.seed(0); torch.manual_seed(0)
    yield
    import matplotlib.pyplot as plt; plt.close('all')
