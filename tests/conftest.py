"Slow tests run with --slow; every test starts from the same random state."
import os, sys, random
from pathlib import Path
import matplotlib, pytest
matplotlib.use('Agg')
import numpy as np, torch

def pytest_addoption(parser): parser.addoption('--slow', action='store_true', help='also run what takes minutes')

def pytest_collection_modifyitems(config, items):
    if config.getoption('--slow'): return
    for it in items:
        if 'slow' in it.keywords: it.add_marker(pytest.mark.skip(reason='needs --slow'))

@pytest.fixture(autouse=True)
def seeded():
    random.seed(0); np.random.seed(0); torch.manual_seed(0)
    yield
    import matplotlib.pyplot as plt; plt.close('all')
