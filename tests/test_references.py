"Every citation in the notebooks' prose is a link, and its paper is on the page of references"
import json, re, urllib.parse
from pathlib import Path
import pytest

nbs   = Path(__file__).parents[1]/'nbs'
every = sorted(p.relative_to(nbs).as_posix() for p in nbs.rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
linked = every

name     = r"[A-ZÅÄÖØ][\w'-]+"
citation = re.compile(rf'({name})(?: et al\.| (?:&|and) {name})?,? \(?((?:19|20)\d\d)\b')

def cells(path, kind=None): return [''.join(c['source']) for c in json.loads((nbs/path).read_text(encoding='utf-8'))['cells'] if kind in (None, c['cell_type'])]

def links(text):
    "Addresses of papers in `text`, however written"
    found = re.findall(r'\]\((https?://(?:[^()\s]|\([^()\s]*\))+)\)', text)
    return {re.sub(r'^https?://(www\.|dx\.)?', '', urllib.parse.unquote(l)).replace('/pdf/', '/abs/').removesuffix('.pdf').rstrip('/') for l in found}

papers = {}                                                        # (first author, year): the line of the paper
for line in (nbs/'references.md').read_text(encoding='utf-8').splitlines():
    if m := re.match(r'- ([^,]+), .*? \((\d{4})\)\. ', line): papers[m[1],m[2]] = line

@pytest.mark.parametrize('path', linked)
def test_citations_are_links(path):
    for src in cells(path, 'markdown'):
        for line in src.splitlines():
            for m in citation.finditer(line):
                assert (paper := papers.get(m.groups())), f'{path} cites {m[0]!r}: add the paper to nbs/references.md'
                own = links(paper)
                assert not own or own & links(line), f'{path}: make {m[0]!r} a link, to one of {sorted(own)}'

@pytest.mark.parametrize('path', every)
def test_references_say_where_a_paper_is_used(path):
    for src in cells(path):
        for m in citation.finditer(src):
            if m.groups() in papers: assert f']({path})' in papers[m.groups()], f'{path} cites {m[0]!r}: say so in nbs/references.md'

@pytest.mark.parametrize('path', every)
def test_links_to_papers_are_on_the_page(path):
    known = set.union(*map(links, papers.values()))
    cited = {l for src in cells(path, 'markdown') for l in links(src) if re.match(r'(arxiv|doi)\.org|openreview', l)}
    assert not cited-known, f'{path} links papers that nbs/references.md lacks'

def test_every_paper_is_used():
    assert len(papers)>35
    for key,line in papers.items():
        used = re.findall(r'\]\(([\w/]+\.ipynb)\)', line)
        assert used, line
        for path in used: assert any(m.groups()==key for src in cells(path) for m in citation.finditer(src)), f'{path} does not cite {key}'
