"What notebooks store: nothing empty, no table with more digits than anybody reads, and tables of results as the files have them"
import json, re, sys
from pathlib import Path
import pytest

root = Path(__file__).parents[1]
sys.path.append(str(root/'tools'))
from tables import _shows, decimals, round_html, tidy

every = sorted(p.relative_to(root/'nbs').as_posix() for p in (root/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
tidied = every

def outputs(path):
    for c in json.loads((root/'nbs'/path).read_text(encoding='utf-8'))['cells']: yield from c.get('outputs', [])

@pytest.mark.parametrize('path', tidied)
def test_outputs_show_something_and_are_rounded(path):
    for o in outputs(path):
        assert _shows(o), f'{path} stores an empty output: run it with tools/run_nb.py'
        html = ''.join(o.get('data', {}).get('text/html', ''))
        assert not re.search(r'<t[dh][^>]*>\s*-?\d+\.\d{5,}\s*<', html), f'{path} stores a table with all its digits: run it with tools/run_nb.py'

def test_results_are_those_of_the_files():
    stored = ''.join(''.join(o['data'].get('text/markdown', '')) for o in outputs('results.ipynb') if 'data' in o)
    for f in (root/'nbs/tutorials/results').glob('*.json'):
        r = json.loads(f.read_text())
        assert re.search(rf"\| {r['name']} \|.* {r['ours']:,.{4 if r['metric']=='mse' else 2}f} \|", stored), f"{r['name']} has another value: run nbs/results.ipynb"

def test_tables_are_rounded_by_the_names_of_columns():
    assert [decimals(o) for o in ('elbo', 'kl_z1', 'elbo_se', 'bits', 'pca_mse', 'train_loss')]==[1, 1, 2, 3, 4, 1]
    html = '<table><thead><tr><th></th><th>elbo</th><th>mse</th><th>n</th></tr><tr><th>split</th><th></th><th></th><th></th></tr></thead><tbody><tr><th>test</th><td>-93.357308</td><td>0.021987</td><td>10000</td></tr></tbody></table>'
    assert round_html(html)[0]=='<table><thead><tr><th>split</th><th>elbo</th><th>mse</th><th>n</th></tr></thead><tbody><tr><th>test</th><td>-93.4</td><td>0.0220</td><td>10000</td></tr></tbody></table>'

def test_text_keeps_its_columns():
    o = dict(output_type='execute_result', data={'text/html': '<table><thead><tr><th></th><th>elbo</th></tr></thead><tr><th>test</th><td>-93.357308</td></tr></table>', 'text/plain': 'test  -93.357308'})
    empty = dict(output_type='display_data', data={'text/html': '<style>a</style>', 'text/plain': '<IPython.core.display.HTML object>'})
    nb = tidy(dict(cells=[dict(outputs=[empty, o])]))
    assert nb['cells'][0]['outputs']==[o] and o['data']['text/plain']=='test       -93.4'
