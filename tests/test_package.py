"What `from vae_nbdev import *` gives, and that each name is explained."
import ast, importlib, inspect, json, pydoc, re, subprocess, sys
from importlib import metadata
from configparser import ConfigParser
from pathlib import Path
import pytest
import vae_nbdev
from test_hostile import counts

root = Path(__file__).parent.parent
package = Path(vae_nbdev.__file__).parent
modules = sorted('.'.join(f.relative_to(package).with_suffix('').parts) for f in package.rglob('*.py') if not f.name.startswith('_'))
modules = [o for o in modules if o!='demo']                    # a program, not a part of the library

def public(module): return importlib.import_module(f'vae_nbdev.{module}').__all__

def star():
    "Names that the star import adds in a new process"
    code = 'known = set(globals())\nfrom vae_nbdev import *\nprint(*sorted(set(globals()) - known - {"known"}))'
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True, cwd=root).stdout.split()

def test_star_import_is_the_union_of_the_modules():
    assert set(star())=={n for m in modules for n in public(m)}

def test_star_import_leaves_other_names_alone():
    "No public name is one of torch's or fastai's, so the order of star imports does not matter"
    import torch, fastai.vision.all
    names = set(vae_nbdev.__all__)
    for o in (torch, torch.nn, fastai.vision.all):
        theirs = set(getattr(o, '__all__', None) or (n for n in vars(o) if not n.startswith('_')))
        ours = {n for n in names & theirs if getattr(o, n) is not getattr(vae_nbdev, n)}
        assert not ours, f'{o.__name__} has these names too: {ours}'
    assert not names & {'torch', 'nn', 'fastai', 'np', 'plt', 'Path', 'L', 'Learner', 'data', 'models', 'train', 'analyse', 'demo'}

def test_public_names_are_ours():
    for n in vae_nbdev.__all__:
        o = getattr(vae_nbdev, n)
        assert not n.startswith('_') and not inspect.ismodule(o)
        if inspect.isclass(o) or inspect.isfunction(o): assert o.__module__.startswith('vae_nbdev.'), f'{n} is from {o.__module__}'

def test_no_name_in_two_modules():
    at = {}
    for m in modules:
        for n in public(m): at.setdefault(n, []).append(m)
    assert not {n:ms for n,ms in at.items() if len(ms)>1}

def test_version():
    cfg = ConfigParser(delimiters=['=']); cfg.read(root/'settings.ini')
    assert cfg['DEFAULT']['version']==vae_nbdev.__version__
    assert f"## {vae_nbdev.__version__}" in (root/'CHANGELOG.md').read_text()

# -- docstrings and docments, read from the source ---------------------------------------------------------------------

def definitions(module):
    "(name, node, lines of the source) of public functions, classes and methods, `@patch`ed ones too"
    text = (package/f'{module.replace(".", "/")}.py').read_text()
    def inner(nodes, prefix=''):
        for o in nodes:
            if not isinstance(o, (ast.FunctionDef, ast.ClassDef)) or (o.name.startswith('_') and o.name!='__init__'): continue
            yield prefix+o.name,o
            if isinstance(o, ast.ClassDef): yield from inner(o.body, f'{o.name}.')
    return [(n,o,text.splitlines()) for n,o in inner(ast.parse(text).body)]

@pytest.mark.parametrize('module', modules)
def test_public_names_have_one_line_docstrings(module):
    "All functions and classes; methods may do without, as those that override fastai's or torch's do"
    bad = []
    for name,o,_ in definitions(module):
        doc = ast.get_docstring(o)
        if '.' not in name and not doc: bad.append(f'{name}: no docstring')
        if doc and '\n' in doc.strip(): bad.append(f'{name}: more than one line')
    assert not bad

@pytest.mark.parametrize('module', modules)
def test_parameters_have_docments(module):
    "A comment beside each parameter of a function or constructor, where there are two or more and no `@delegates` tells them"
    bad = []
    for name,o,lines in definitions(module):
        if isinstance(o, ast.ClassDef) or ('.' in name and not name.endswith('__init__')): continue
        if name.endswith('__init__') and any(ast.unparse(d).startswith('delegates(') for d in o.decorator_list): continue
        args = [a for a in [*o.args.posonlyargs, *o.args.args, *o.args.kwonlyargs] if a.arg not in ('self', 'cls')]
        if len(args)>1: bad += [f'{name}({a.arg})' for a in args if '#' not in lines[a.lineno-1]]
    assert not bad

# -- benchmark -----------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_benchmark_runs(tmp_path):
    subprocess.run([sys.executable, '-W', 'ignore', root/'benchmarks'/'bench.py', '--smoke', '--out', tmp_path], check=True, capture_output=True, cwd=root)
    res = json.loads((tmp_path/'results.json').read_text())['results']
    assert {'training dense 100', 'training ladder', 'data path', 'sampling', 'log_weights', 'scaling data', 'scaling width', 'alone speed', 'alone memory'} <= {*res}
    assert all(r['min']>0 and r['ratio']>0 for k,v in res.items() if k!='alone pages' for r in v['rows'].values())
    assert {'Learner', 'bare loop', '+ fused Adam', 'our model in that loop'} <= {*res['training dense 100']['rows']} and len(res['data path']['rows'])==6
    assert 'Learner' in (tmp_path/'tables.md').read_text() and (tmp_path/'bench.png').exists()

cfg = ConfigParser(delimiters=['=']); cfg.read(root/'settings.ini', encoding='utf-8'); cfg = cfg['DEFAULT']
required = sorted({re.match(r'[\w-]+', r)[0] for k in cfg if k.endswith('requirements') for r in cfg[k].split()})
rows = [[c.strip() for c in l.strip('|\n').split('|')] for l in (root/'CONTRIBUTING.md').read_text().splitlines() if l.startswith('| ')]
table = {name: row for row in rows if len(row)>=3 for name in re.sub(r'\*\w+\* ', '', row[0]).split(', ')}

@pytest.mark.parametrize('name', required)
def test_every_dependency_has_a_reason_and_its_licence(name):
    _,licence,reason = table[name][:3]
    assert len(reason)>10
    try: meta = metadata.metadata(name)
    except metadata.PackageNotFoundError: return                              # an extra that is not installed
    said = ' '.join([meta.get('License-Expression') or '', (meta.get('License') or '')[:200], *(c for c in meta.get_all('Classifier') or [] if c.startswith('License'))])
    assert licence in said or licence=='PSF' and 'Python Software Foundation' in said, f'{name} says {said[:200]!r}'

def test_pinned_set_holds_every_dependency():
    pinned = {re.match(r'[\w.-]+', l)[0].lower().replace('_', '-') for l in (root/'constraints.txt').read_text().splitlines() if '==' in l}
    assert set(required)-pinned <= {'kagglehub', 'umap-learn', 'torchmetrics', 'torch-fidelity'}

def test_counts_in_security():
    "SECURITY.md says how much is tested, and this is how much"
    said = (root/'SECURITY.md').read_text()
    kills = re.search(r"parametrize\('kills', \[(\d+), pytest.param\((\d+)", (root/'tests'/'test_runs.py').read_text()).groups()
    for words in (*counts(), *(f'{k} kills' for k in kills)): assert words in said, words

def test_signatures_of_public_classes_are_real():
    "`pydoc` and Shift-Tab show the arguments of every class; only the loader hands some on to fastai"
    for n in vae_nbdev.__all__:
        cls = getattr(vae_nbdev, n)
        if not inspect.isclass(cls) or issubclass(cls, Exception): continue
        ps = inspect.signature(cls).parameters
        assert n=='ImageDL' or not {p.kind for p in ps.values()} & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, (n, ps)
        shown = pydoc.render_doc(cls, renderer=pydoc.plaintext)
        assert all(re.search(rf'\b{k}\b', shown) for k in ps), n

def test_no_line_of_code_is_longer_than_120_columns():
    long = [f'{p.name}: {l[:60]}' for p in (root/'vae_nbdev').rglob('*.py') if p.name!='_modidx.py' for l in p.read_text().splitlines()
            if len(l)>120 and not re.match(r'"""|# AUTOGENERATED|__all__|           \'', l)]
    for p in (root/'nbs').rglob('*.ipynb'):
        for c in json.loads(p.read_text())['cells']:
            if c['cell_type']=='code': long += [f'{p.name}: {l[:60]}' for l in ''.join(c['source']).splitlines() if len(l)>120]
    assert not long, long

def test_no_private_name_is_imported():
    for p in (root/'vae_nbdev').rglob('*.py'):
        for node in ast.walk(ast.parse(p.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or '').startswith('vae_nbdev')) and p.name!='__init__.py':
                assert not [a.name for a in node.names if a.name.startswith('_')], (p.name, node.module)

def test_public_names_are_what_users_write(): assert len(vae_nbdev.__all__)<=110
