"The README's code, with small digits in place of MNIST: nothing is downloaded"
import re
from pathlib import Path
root = Path(__file__).parents[1]

def blocks(): return re.findall(r'^```python\n(.*?)^```', (root/'README.md').read_text(encoding='utf-8'), re.M|re.S)

def test_code_runs_without_a_network(monkeypatch, tmp_path):
    monkeypatch.delenv('VAE_NBDEV_DATA', raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path/'tutorials').symlink_to(root/'nbs'/'tutorials')
    code = '\n'.join(blocks())
    assert code.count("'mnist'")==1 and '(15, 1e-3)' in code
    space = {}
    exec(code.replace("'mnist'", "'digits'").replace('(15, 1e-3)', '(1, 1e-3)'), space)
    assert space['vae'].image_shape==(1,8,8) and space['out'].params.shape==(100,1,28,28)

def test_it_begins_with_digits_and_says_what_beta_is():
    text = (root/'README.md').read_text(encoding='utf-8')
    assert 'images/mnist.png' in text.split('```')[0]
    assert text.index('`beta` is the weight') < text.index('evaluate(')

def test_tables_are_rounded():
    assert not re.findall(r'<td>-?\d+\.\d{5,}</td>', (root/'README.md').read_text(encoding='utf-8'))
