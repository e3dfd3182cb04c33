"Stored outputs as a reader wants them: numbers in tables rounded, outputs that show nothing dropped"
import re
from vae_nbdev.analyse.tables import decimal_places

def decimals(column):
    "How many a column of this name has, as in a `ResultTable`"
    return decimal_places({}, column.lower())

def _text(cell): return re.sub(r'<[^>]*>', '', cell).strip()

def _one_header(html):
    "pandas writes the name of the index into a row of its own, which is otherwise empty: into the first row with it"
    return re.sub(r'(<thead>\s*<tr[^>]*>\s*<th)></th>(.*?</tr>)\s*<tr>\s*<th>([^<]*)</th>(?:\s*<th></th>)+\s*</tr>(?=\s*</thead>)', r'\1>\3</th>\2', html, flags=re.S)

def round_html(html):
    "(HTML, [(number as it was, rounded)]) of a table's HTML, each number rounded as its column asks"
    html,pairs = _one_header(html),[]
    head = re.search(r'<thead>.*?</tr>', html, re.S)
    names = [_text(h) for h in re.findall(r'<th\b.*?</th>', head[0], re.S)] if head else []
    def row(m):
        i = -1
        def cell(c):
            nonlocal i
            i += 1
            if not re.fullmatch(r'-?\d+\.\d{5,}(e[+-]?\d+)?', v := _text(c[2])): return c[0]
            n = decimals(names[i] if i<len(names) else '')
            new = f'{float(v):.{n}f}'
            if len(new)>=len(v): return c[0]
            pairs.append((v, new))
            return c[1] + c[2].replace(v, new) + c[3]
        return re.sub(r'(<t[dh]\b[^>]*>)(.*?)(</t[dh]>)', cell, m[0], flags=re.S)
    return re.sub(r'<tr\b.*?</tr>', row, html, flags=re.S),pairs

def _tidy(data):
    "Round the tables of an output, in each form that is stored"
    if '<table' not in (html := ''.join(data.get('text/html', ''))): return
    new,pairs = round_html(html)
    data['text/html'] = new
    for k in ('text/plain', 'text/markdown'):
        if k not in data: continue
        text = ''.join(data[k])
        if '<table' in text: data[k] = round_html(text)[0]
        else:
            for v,r in sorted(pairs, key=lambda p: -len(p[0])): text = re.sub(rf'(?<![\d.]){re.escape(v)}(?![\d.])', r.rjust(len(v)), text)
            data[k] = text

def _shows(o):
    "Does an output show anything?"
    if o['output_type']=='stream': return bool(''.join(o['text']).strip())
    if o['output_type']=='error' or 'data' not in o: return True
    data = {k: ''.join(v) if isinstance(v, (str, list)) else v for k,v in o['data'].items()}
    seen = re.sub(r'<style.*?</style>', '', data.get('text/html', ''), flags=re.S).strip()
    return bool(seen) or any(k!='text/html' and not (k=='text/plain' and str(v).startswith('<IPython.core.display')) for k,v in data.items())

def tidy(nb):
    "Round the tables of a notebook's outputs, and drop outputs that show nothing"
    for c in nb['cells']:
        if 'outputs' not in c: continue
        c['outputs'] = [o for o in c['outputs'] if _shows(o)]
        for o in c['outputs']: _tidy(o.get('data', {}))
    return nb
