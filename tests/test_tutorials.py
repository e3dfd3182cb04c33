"Every tutorial, with its budget cut to a few steps, on the real data where it is at hand"
import os, re
from pathlib import Path
import nbformat, pytest
from nbclient import NotebookClient

nbs = sorted((Path(__file__).parents[1]/'nbs/tutorials').glob('*.ipynb'))
needs = {'01_mnist': 'mnist.npz', '02_fashion': 'fashion_mnist.npz', '03_cifar10': 'cifar10.npz', '07_ladder': 'mnist.npz', '08_texture_ladder': 'textures_42000_28px.pkl', '09_cifar10_ladder': 'cifar10.npz', '11_objectives': 'mnist.npz', '13_crispness': 'cifar10.npz', '14_deeper': 'mnist.npz'}

@pytest.mark.slow
@pytest.mark.parametrize('path', nbs, ids=lambda p: p.stem)
def test_tutorial(path, tmp_path):
    data = os.environ.get('VAE_NBDEV_DATA')
    if path.stem in needs and not (data and (Path(data)/needs[path.stem]).exists()): pytest.skip(f'VAE_NBDEV_DATA has no {needs[path.stem]}')
    nb = nbformat.read(path, 4)
    code = [c for c in nb.cells if c.cell_type=='code']
    assert sum(bool(re.search(r'^epochs,steps = ', c.source, re.M)) for c in code)==1
    for c in code: c.source = re.sub(r'^epochs,steps = .*', 'epochs,steps = 2,3', c.source, flags=re.M)
    nb.cells = [c for c in nb.cells if not c.source.startswith('#| slow')]          # what full training promises
    NotebookClient(nb, timeout=600, kernel_name='python3', resources=dict(metadata=dict(path=str(tmp_path)))).execute()

def test_tutorials_keep_their_outputs():
    for path in nbs:
        nb = nbformat.read(path, 4)
        for c in nb.cells:
            if c.cell_type!='code': continue
            assert not any(o.output_type=='error' for o in c.outputs), f'{path.name}: an error is stored'
            assert not (re.search(r'\.plot_|^evaluate\(', c.source, re.M) and not c.outputs), f'{path.name} has a picture without output: {c.source[:60]}'
