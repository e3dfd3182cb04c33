"Slow tests run with --slow; every test starts from the same random state, on one thread where processes share the cores; the longest begin first."
import os, random, time
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

@pytest.fixture(autouse=True)
def seeded():
    random.seed(0); np.random.seed(0); torch.manual_seed(0)
    yield
    import matplotlib.pyplot as plt; plt.close('all')
