"Sphinx over the notebooks themselves: `make docs`"
import inspect, json, re, sys, warnings
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path
from fastcore.docments import docments
warnings.filterwarnings('ignore')

here = Path(__file__).parent
sys.path.append(str(here.parent/'tools'))
from tables import tidy
cfg = ConfigParser(delimiters=['=']); cfg.read(here.parent/'settings.ini', encoding='utf-8'); cfg = cfg['DEFAULT']

project,author,release = cfg['lib_name'],cfg['author'],cfg['version']
project_copyright = cfg['copyright']
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.viewcode', 'sphinx.ext.mathjax', 'sphinx_copybutton']
root_doc,exclude_patterns = 'index',['**/.ipynb_checkpoints', '**/results/**']
nb_execution_mode = 'off'                                        # outputs are the ones saved in the notebooks
nb_merge_streams,nb_output_stderr = True,'remove'
nb_code_prompt_show = nb_code_prompt_hide = 'Source'
nb_ipywidgets_js = {}                                            # nothing from other servers
myst_enable_extensions = ['dollarmath', 'amsmath', 'colon_fence']
myst_heading_anchors = 3
suppress_warnings = ['mystnb.unknown_mime_type', 'config.cache']
autodoc_typehints,autodoc_inherit_docstrings = 'signature',False
python_maximum_signature_line_length,add_module_names = 80,False
default_role = 'py:obj'
copybutton_selector = 'div:not(.output) > div.highlight pre'

html_theme,html_title = 'sphinx_book_theme',f'{project} {release}'
modules = here/'node_modules'
mathjax_path = 'tex-svg.js'                                      # MathJax with its fonts inside
ort = [modules/'onnxruntime-web/dist'/f for f in ('ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm')]
html_static_path = ['_static', *map(str, [modules/'mathjax/es5/tex-svg.js', *ort])]
html_css_files,html_favicon = ['site.css'],'_static/favicon.svg'
html_context = dict(default_mode='auto')
html_theme_options = dict(use_download_button=True, use_fullscreen_button=False, show_toc_level=2, show_navbar_depth=1, home_page_in_toc=True,
                          navbar_persistent=[])                  # the sidebar has a search already
html_show_sourcelink = False

# -- what nbdev's directives ask for ------------------------------------------------------------------------------------

_directive = re.compile(r'^[ \t]*#\|[ \t]*(\w+):?[ \t]*(.*)\n?', re.M)
_defined   = re.compile(r'^(?:class|def|async def) +(\w+)', re.M)

def _auto(obj, path, src):
    "The autodoc directive of `obj`"
    if not inspect.isclass(obj): return f'.. autofunction:: {path}'
    members = [k for k,v in vars(obj).items() if re.search(rf'def {k}\(', src) and k[0]!='_' and v.__doc__]
    return f'.. autoclass:: {path}\n   :members: {", ".join(members)}' if members else f'.. autoclass:: {path}'

def _docs(src, mod, functions=True):
    "Directives for what an exported cell defines; of a cell that is not public, for its classes, which users name by a word"
    m,out,owners = import_module(mod),[],{}
    for decorated in re.finditer(r'^@patch.*\n(?:@.*\n)*def (\w+)\(self: *([\w|]+)', src, re.M): owners[decorated[1]] = decorated[2].split('|')
    for name in _defined.findall(src):
        if name[0]=='_' or not functions and name not in owners and not name[0].isupper(): continue
        if name not in owners: out.append(_auto(getattr(m, name), f'{mod}.{name}', src))
        for cls in owners.get(name, []):
            kind = 'property' if isinstance(inspect.getattr_static(getattr(m, cls), name), property) else 'method'
            out.append(f'.. auto{kind}:: {mod}.{cls}.{name}')
    return out

def _rst(directives): return dict(cell_type='markdown', metadata={}, source='```{eval-rst}\n' + '\n\n'.join(directives) + '\n```')

_names = {k.rsplit(m+'.', 1)[-1]: k for m,d in import_module(cfg['lib_path']+'._modidx').d['syms'].items() for k in d if '._' not in k}

def _linked(src):
    "Backticked names of ours as cross-references, outside fences"
    src = re.sub(r'\]\(#([\w-]+)\)', lambda m: f'](#{m[1].lower()})', src)     # Jupyter's anchors keep their capitals
    link = lambda m: f'{{py:obj}}`{m[1]} <{_names[m[1]]}>`' if m[1] in _names else m[0]
    return ''.join(p if p.startswith('```') else re.sub(r'(?<![`}])`([\w.]+)`(?!`)', link, p) for p in re.split(r'(```.*?```)', src, flags=re.S))

_row,_cell = re.compile(r'<tr.*?</tr>', re.S),re.compile(r'(<t([dh])\b)([^>]*>)(.*?)(?=</t[dh]>)', re.S)
_number    = re.compile(r'[-+]?[\d.,:%e+ -]*|nan')

def _aligned(o):
    "An output whose table names its columns of words, which are aligned left"
    if '<table' not in (html := ''.join(o.get('data', {}).get('text/html', ''))): return o
    words = {i for row in _row.findall(html) for i,(_,kind,_,text) in enumerate(_cell.findall(row)) if kind=='d' and not _number.fullmatch(text.strip().lower())}
    def marked(row):
        i = iter(range(1000))
        return _cell.sub(lambda m: m[1] + (f' class="words{" long"*(len(m[4])>20)}"' if next(i) in words else '') + m[3] + m[4], row[0])
    return o | dict(data=o['data'] | {'text/html': _row.sub(marked, html)})

def _cells(nb):
    "The cells of a notebook as a page shows them"
    mod = None
    for c in nb['cells']:
        src = ''.join(c['source'])
        if c['cell_type']=='raw': continue
        if c['cell_type']=='markdown': yield c | dict(source=_linked(src)); continue
        directives,body = dict(_directive.findall(src)),_directive.sub('', src).strip('\n')
        if 'default_exp' in directives: mod = f"{cfg['lib_path']}.{directives['default_exp']}"; continue
        if 'hide' in directives or not body: continue
        of_module = directives.keys() & {'export', 'exporti'}
        if of_module and (ds := _docs(body, mod, functions='export' in directives)): yield _rst(ds)
        yield c | dict(source=body, metadata=dict(tags=['hide-input'] if of_module else []), execution_count=None,
                      outputs=[] if directives.get('output')=='false' else [_aligned(o) for o in c['outputs']])

# -- the order of pages -------------------------------------------------------------------------------------------------

def _pages(src, folder): return sorted(f'{folder}/{p.stem}' for p in (src/folder).glob('*.ipynb'))

def _contents(src):
    "Captions and their pages"
    return {'Begin': ['guide', 'explorer'], 'Tutorials': _pages(src, 'tutorials'), 'Data': _pages(src, 'data'), 'Models': ['core', *_pages(src, 'models')],
            'Training': _pages(src, 'train'), 'Analysis': [*_pages(src, 'analyse'), 'results', 'demo'], 'References': ['references', 'genindex']}

def _toctree(caption, pages): return f'```{{toctree}}\n:hidden:\n:caption: {caption}\n\n' + '\n'.join(pages) + '\n```'

def read_notebook(app, docname, source):
    "Hide, fold and document cells as their `#|` directives ask"
    if not source[0].lstrip().startswith('{'): return
    nb = tidy(json.loads(source[0]))
    cells = list(_cells(nb))
    if docname==root_doc:
        cells += [dict(cell_type='markdown', metadata={}, source=_toctree(*o)) for o in _contents(Path(app.srcdir)).items()]
        for c in cells: c['source'] = re.sub(r'\.\./([A-Z]+\.md)', cfg['git_url']+r'/blob/main/\1', ''.join(c['source']))
    lines = dict(source_map=[*range(len(cells))])                            # else the cells begin 10,000 lines apart, and each of autodoc's is parsed behind as many blank ones
    source[0] = json.dumps(nb | dict(metadata=nb['metadata'] | lines, cells=[c | {'id': f'c{i}'} for i,c in enumerate(cells)]))

# -- comments beside parameters -----------------------------------------------------------------------------------------

def add_docments(app, what, name, obj, options, lines):
    "Comments beside parameters as `:param:` fields"
    if what not in ('function', 'method', 'class'): return
    try: ds = docments(obj, full=False, returns=True)
    except Exception: return
    named = lambda m: (f':py:obj:`{m[1]} <{_names[m[1]]}>`' if m[1] in _names else f'``{m[1]}``') + '\\ '
    said = lambda s: re.sub(r'(?<![`:])`([^`]+)`(?!`)', named, s.replace('|', '\\|'))
    fields = [f':{"returns" if k=="return" else "param "+k}: {said(v)}' for k,v in ds.items() if v and k!='self']
    lines[:] = [said(l) for l in lines] + [''] + fields

# -- decoders that the explorer's page runs -----------------------------------------------------------------------------

def export_decoders(app):
    "ONNX files of the models in docs/models, with what the page has to know of them"
    if app.builder.format!='html': return
    from vae_nbdev import export_onnx, load_vae
    out = Path(app.outdir)/'_static/models'
    for path in sorted((here/'models').glob('*/vae.json')):
        name,vae = path.parent.name,load_vae(path.parent)
        export_onnx(vae, out/f'{name}.onnx')
        (out/f'{name}.json').write_text((path.parent/'page.json').read_text())

def setup(app):
    app.connect('source-read', read_notebook)
    app.connect('autodoc-process-docstring', add_docments)
    app.connect('builder-inited', export_decoders)
