"""The documentation site that `make docs` builds, and the explorer, in a real browser; pictures are kept in tests/screenshots.
Needs npm and chromium: skipped where they are not, unless VAE_NBDEV_BROWSER is set, as in CI."""
import contextlib, functools, http.server, importlib, inspect, json, os, re, shutil, socket, subprocess, sys, threading, time, urllib.parse, urllib.request
from pathlib import Path
import nbformat, numpy as np, pytest, torch
from fastcore.docments import docments
from vae_nbdev import *
from vae_nbdev._modidx import d as index
bs4  = pytest.importorskip('bs4')
play = pytest.importorskip('playwright.sync_api')

root     = Path(__file__).resolve().parents[1]
shots    = root/'tests'/'screenshots'
chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
flags    = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'.split()
missing  = [n for n,o in dict(chromium=chromium, npm=shutil.which('npm')).items() if not o]
pytestmark = pytest.mark.skipif(bool(missing) and not os.environ.get('VAE_NBDEV_BROWSER'), reason=f'needs {" and ".join(missing)}')

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

# the first tests take more than ten seconds: they wait for the site to be built, and for its pages to be parsed
@pytest.fixture(scope='session')
def site():
    "Folder of the site"
    r = subprocess.run(['make', 'docs'], cwd=root, capture_output=True, text=True)
    assert not r.returncode, (r.stdout+r.stderr)[-3000:]
    return root/'_site'

@pytest.fixture(scope='session')
def served(site):
    "Address of the site"
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()

@pytest.fixture(scope='session')
def browser():
    with play.sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium, args=flags)
        yield b
        b.close()

@contextlib.contextmanager
def opened(browser, address, **kwargs):
    "A page, which must not complain nor ask for anything elsewhere"
    wrong,home = [],urllib.parse.urlsplit(address).netloc
    page = browser.new_page(**kwargs)
    page.on('console', lambda m: m.type=='error' and wrong.append(m.text))
    page.on('pageerror', lambda e: wrong.append(str(e)))
    page.on('requestfailed', lambda r: wrong.append(f'{r.url} failed'))
    page.on('request', lambda r: urllib.parse.urlsplit(r.url).netloc not in (home, '') and wrong.append(f'{r.url} is elsewhere'))
    page.goto(address)
    try: yield page
    finally: page.close()
    assert not wrong, f'{address}: {wrong}'

@pytest.fixture(scope='module')
def soups(site):
    "All pages, parsed: path to soup"
    return {p: bs4.BeautifulSoup((site/p).read_text(encoding='utf-8'), 'html.parser') for p in pages(site)}

def pages(site): return sorted(str(p.relative_to(site)) for p in site.rglob('*.html') if '_static' not in p.parts)
def shot(o, name): shots.mkdir(exist_ok=True); o.screenshot(path=shots/f'{name}.png')

# -- pages ----------------------------------------------------------------------------------------------------------------

sample = ['index', 'guide', 'explorer', 'results', 'references', 'analyse/02_numbers', 'tutorials/07_ladder']      # one of each kind; --slow opens all

def test_every_page_is_quiet_and_fits_a_phone(request, site, served, browser):
    wide = {}
    for p in pages(site) if request.config.getoption('--slow') else [f'{o}.html' for o in sample]:
        with opened(browser, f'{served}/{p}', viewport=dict(width=390, height=844)) as page:
            page.wait_for_load_state('networkidle')
            assert page.locator('h1').count()>=1, p
            width = page.evaluate('document.documentElement.scrollWidth')
            if width>390: wide[p] = width
    assert not wide

def test_links(site, soups):
    ids,dead = {p: {e['id'] for e in soup.find_all(id=True)} for p,soup in soups.items()},[]
    for p,soup in soups.items():
        for e in soup.find_all(['a','img','script','link']):
            url = urllib.parse.urlsplit(e.get('href') or e.get('src') or '')
            if url.scheme or url.netloc or not (url.path or url.fragment): continue
            to = os.path.normpath(os.path.join(os.path.dirname(p), urllib.parse.unquote(url.path))) if url.path else p
            if not (site/to).is_file(): dead.append(f'{p}: {to}')
            elif url.fragment and to in ids and urllib.parse.unquote(url.fragment) not in ids[to]: dead.append(f'{p}: {to}#{url.fragment}')
    assert len(soups)>40 and not dead, sorted(set(dead))

def test_tables_are_rounded(soups):
    for p,soup in soups.items():
        long = [t for t in (c.get_text() for c in soup.select('table td')) if re.fullmatch(r'\s*-?\d+\.\d{5,}\s*', t)]
        assert not long, f'{p}: {long[:3]}'

def test_results_open_with_their_table(soups):
    first = soups['results.html'].select_one('article table')
    assert not [h for h in first.find_all_previous('h2') if h.find_parent('article')]
    head = [c.get_text() for c in first.select('th')]
    assert 'gap' in head and head[-1]=='differs'

def public():
    "(path, object) of every public function and class"
    for module in index['syms']:
        m = importlib.import_module(module)
        for name in m.__all__:
            o = getattr(m, name)
            if getattr(o, '__module__', '')==module and (inspect.isfunction(o) or inspect.isclass(o)): yield f'{module}.{name}',o

def test_every_public_name_is_documented(soups):
    shown = {dt['id']: dt for p,soup in soups.items() if not p.startswith('_modules') for dt in soup.select('dt.sig[id]')}
    plain = lambda s: re.sub(r'\W+', '', s)
    assert len(list(public()))>90
    for path,o in public():
        assert path in shown, f'{path} is on no page'
        dt = shown[path]
        text = plain(dt.find_next_sibling('dd').get_text())
        assert dt.select_one('.viewcode-link'), f'{path} has no link to its source'
        assert plain(inspect.getdoc(o).split('\n')[0]) in text, path
        if not (inspect.isclass(o) and issubclass(o, Exception)): assert not (hidden := [k for k in inspect.signature(o).parameters if k not in dt.get_text()]), f'{path} does not show {hidden}'
        if inspect.isfunction(o):
            for k,v in docments(o, full=False).items(): assert not v or plain(v) in text, f'{path}: {k} is not told'

def test_search_and_equations(served, browser):
    with opened(browser, f'{served}/guide.html') as page:
        page.wait_for_selector('mjx-container svg')
        assert page.locator('mjx-merror').count()==0
        shot(page, 'guide')
    with opened(browser, f'{served}/search.html?q=free_bits') as page:
        page.wait_for_selector('ul.search li a')
        found = page.locator('ul.search li a').all_inner_texts()
        assert any('objective' in t.lower() for t in found), found
        shot(page, 'search')
    with opened(browser, f'{served}/index.html') as page:
        page.locator('.search-button-field, .search-button').first.click()
        box = page.locator('.search-button__search-container input[type=search], #pst-search-dialog input[type=search]').first
        box.fill('warm-up'); box.press('Enter')
        page.wait_for_selector('ul.search li a')
        assert 'search.html?q=warm-up' in page.url

@pytest.mark.parametrize('name', ['index', 'guide', 'explorer', 'tutorials/07_ladder', 'train/07_learner'])
def test_dark_mode(served, browser, name):
    with opened(browser, f'{served}/{name}.html', viewport=dict(width=390, height=844), color_scheme='dark') as page:
        page.wait_for_load_state('networkidle')
        rgb = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(map(int, re.findall(r'\d+', rgb)[:3]))<80, rgb
        filters = page.locator('article img').evaluate_all("o => o.map(e => getComputedStyle(e).filter)")
        assert not set(filters)-{'none'}, 'the page changes grey levels of pictures'
        shot(page, f'phone-{Path(name).name}')

# -- the explorer on a page --------------------------------------------------------------------------------------------------

pixels = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"

def settled(page, before=None):
    "Pixels of the picture once it differs from `before`"
    picture = page.locator('canvas.explorer-picture')
    for _ in range(100):
        now = picture.evaluate(pixels)
        if before is None or now!=before: return now
        page.wait_for_timeout(50)
    raise AssertionError('the picture does not change')

@pytest.mark.parametrize('name', ['mnist', 'textures'])
def test_explorer_page(site, served, browser, name):
    assert (site/f'_static/models/{name}.onnx').stat().st_size<2e6
    vae = load_vae(root/'docs'/'models'/name)
    with opened(browser, f'{served}/explorer.html') as page:
        page.wait_for_selector('[data-model=mnist].explorer')
        if name!='mnist':
            page.select_option('select[name=model]', name)
            page.wait_for_selector(f'.explorer[data-model={name}]')
        z = torch.randn(50, *vae.latent_dims)
        res = page.evaluate('async z => { const x = await explorer.model.decode(z); return [x.dims, Array.from(x.data)] }', z.tolist())
        x = vae.likelihood.mean(vae.eval().decode(z)).clamp(0, 1).detach()
        assert res[0]==list(x.shape)
        assert np.abs(np.array(res[1])-x.flatten().numpy()).max()<1e-3

        first = settled(page)
        page.locator('input[name=z0]').evaluate("e => { e.value = 2; e.dispatchEvent(new Event('input')) }")
        second = settled(page, first)
        shown = vae.likelihood.mean(vae.decode(torch.tensor([page.evaluate('explorer.z')])))[0,0].clamp(0, 1).detach()
        assert page.evaluate('explorer.z[0]')==2
        assert np.abs(np.array(second).reshape(28,28,4)[...,0]/255-shown.numpy()).max()<1/255
        page.locator('.explorer-pad').scroll_into_view_if_needed()
        box = page.locator('.explorer-pad').bounding_box()
        page.mouse.move(box['x']+box['width']/2, box['y']+box['height']/2); page.mouse.down()
        page.mouse.move(box['x']+box['width']*.9, box['y']+box['height']*.2, steps=5); page.mouse.up()
        third = settled(page, second)
        a,b = page.evaluate('explorer.axes.map(i => explorer.z[i])')
        assert abs(a-2.4)<.05 and abs(b+1.8)<.05, (a, b)
        page.get_by_role('button', name='Draw').click()
        settled(page, third)
        page.locator('.explorer-buttons button').last.click()
        page.wait_for_timeout(600)
        shot(page.locator('.explorer'), f'page-{name}')

# -- the explorer in a notebook ----------------------------------------------------------------------------------------------

notebook = """
import torch
from vae_nbdev import *
torch.manual_seed(42)
dls = image_dls('digits', binarize='threshold', bs=100)
widths = dict(encoder_widths=((128,64),(32,)), decoder_widths=((64,128),(32,64)))
learn = vae_learner(dls, DenseLadderVAE(dls.image_shape, latent_dims=(8,2), **widths), cbs=BetaWarmup())
with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(20, 3e-3)
explore(learn)
"""

def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]

@pytest.fixture
def voila(tmp_path):
    "Address of a notebook that shows the explorer"
    path,port = tmp_path/'explore.ipynb',free_port()
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(notebook.strip())])
    nb.metadata.kernelspec = dict(name='python3', display_name='python3', language='python')
    nbformat.write(nb, path)
    with open(tmp_path/'log.txt', 'w') as log:
        p = subprocess.Popen([sys.executable, '-m', 'voila', '--no-browser', f'--port={port}', '--Voila.ip=127.0.0.1', str(path)], stdout=log, stderr=log, cwd=tmp_path)
        try: yield f'http://127.0.0.1:{port}/'
        finally: p.terminate(); p.wait(20)

# above ten seconds: a server, a kernel that imports the library and trains, and a browser
def test_explorer_in_a_notebook(voila, browser):
    for _ in range(120):
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', urllib.parse.urlsplit(voila).port), 1).close(); break
        time.sleep(.5)
    page = browser.new_page(viewport=dict(width=1000, height=900))
    page.goto(voila, timeout=300_000)
    page.wait_for_selector('.widget-slider', timeout=300_000)
    picture = page.locator('img.widget-image:visible').first
    picture.wait_for()
    def changed(src):
        for _ in range(200):
            if (now := picture.get_attribute('src'))!=src: return now
            page.wait_for_timeout(50)
        raise AssertionError('the picture does not change')
    first,handle = picture.get_attribute('src'),page.locator('.widget-slider:visible .noUi-handle').first
    handle.focus()
    for _ in range(25): handle.press('ArrowRight')
    changed(first)
    page.wait_for_timeout(500)
    shot(page, 'notebook-z1')
    page.get_by_role('tab', name='z2').click()
    picture.wait_for()
    before = picture.get_attribute('src')
    page.get_by_role('button', name='Hold z2, draw below').click()
    changed(before)
    shot(page, 'notebook-z2')
    page.get_by_role('tab', name='Images').click()
    page.wait_for_timeout(500)
    shot(page, 'notebook-images')
    page.close()
