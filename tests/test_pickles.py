"Pickled data sets: what is admitted, what is refused, and that refusing leaves no trace"
import collections, copyreg, gzip, io, os, pickle, struct, subprocess, sys, time
from pathlib import Path
import numpy as np, pytest, torch
from vae_nbdev import DatasetError, Images, UnsafePickleError, as_images, read_images, safe_unpickle, write_images

DATA = os.environ.get('VAE_NBDEV_DATA')
rng = np.random.default_rng(0)
x28, y28 = rng.integers(0, 256, (30,28,28), dtype=np.uint8), np.arange(30)%3
def dataset(**kw): return dict(train_images=x28[:20], test_images=x28[20:], **kw)

def save(folder, data, name='set.pkl', protocol=4):
    path = folder/name
    path.write_bytes(data if isinstance(data, bytes) else pickle.dumps(data, protocol))
    return path

def refused(folder, data, *texts, name='set.pkl', error=DatasetError):
    with pytest.raises(error) as e: read_images(save(folder, data, name))
    for t in (name, *texts): assert t in str(e.value), str(e.value)
    return str(e.value)

# ---- nothing runs

class Call:
    "Pickles as a call"
    def __init__(self, f, *args): self.f,self.args = f,args
    def __reduce__(self): return self.f, self.args

@pytest.fixture
def trace(tmp_path):
    "A file that a malicious pickle would make"
    path = tmp_path/'trace'
    yield path
    assert not path.exists()

def text(s): s = str(s).encode(); return b'X' + struct.pack('<I', len(s)) + s

@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('place', [lambda o: o, lambda o: dataset(extra=o), lambda o: dataset(extra=[(1, {'a': o})]),
    lambda o: {o: 1}, lambda o: dataset(train_labels=np.array([o], dtype=object))])
def test_system(trace, tmp_path, place, protocol):
    data = pickle.dumps(place(Call(os.system, f'touch {trace}')), protocol)
    refused(tmp_path, data, f'{os.name}.system', 'nothing of it was run', error=UnsafePickleError)

def malicious(trace):
    t = text(f'touch {trace}')
    op = f"open({str(trace)!r}, 'w')"
    return {
        'global+reduce':    (b'\x80\x02cos\nsystem\n' + t + b'\x85R.', 'os.system'),
        'python 2 builtin': (b'\x80\x02c__builtin__\neval\n' + text(op) + b'\x85R.', '__builtin__.eval'),
        'eval':             (b'\x80\x02cbuiltins\neval\n' + text(op) + b'\x85R.', 'builtins.eval'),
        'inst':             (f"(S'touch {trace}'\nios\nsystem\n.".encode(), 'os.system'),
        'obj':              (b'(cos\nsystem\n' + t + b'o.', 'os.system'),
        'newobj':           (b'\x80\x02csubprocess\nPopen\n' + t + b'\x85\x81.', 'subprocess.Popen'),
        'stack_global':     (b'\x80\x04' + text('os') + text('system') + b'\x93' + t + b'\x85R.', 'os.system'),
        'dotted':           (b'\x80\x04' + text('numpy') + text('testing.os.system') + b'\x93' + t + b'\x85R.', 'numpy.testing.os.system'),
        'getattr':          (b'\x80\x02cbuiltins\ngetattr\ncnumpy\nndarray\n' + text('tofile') + b'\x86R.', 'builtins.getattr'),
        'memo':             (b'\x80\x02cos\nsystem\nq\x00' + t + b'\x85R0h\x00' + t + b'\x85R.', 'os.system'),
        'persistent id':    (b'Pos.system\n.', 'os.system'),
        'binary pers. id':  (b'\x80\x02' + text('os.system') + b'Q.', 'os.system'),
        'extension':        (b'\x80\x02\x82\x07' + t + b'\x85R.', 'extension code'),
        'encode elsewhere': (b'\x80\x02c_codecs\nencode\n' + text('a') + text('hex') + b'\x86R.', '_codecs.encode'),
        'another subclass': (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R.', 'numpy.dtype'),
        'class of text':    (b'\x80\x02cnumpy.core.multiarray\n_reconstruct\n' + text('memmap') + b'K\x00\x85U\x01b\x87R.', 'memmap'),
        'patch':            (b'\x80\x02c_codecs\nencode\nN}' + text('__call__') + text('x') + b's\x86b.', 'a change of _codecs.encode'),
        'patch a class':    (b'\x80\x02cnumpy\nndarray\n}' + text('shape') + text('x') + b'sb.', 'a change of numpy.ndarray'),
        'a bare name':      (b'\x80\x02cnumpy.core.multiarray\nscalar\n.', 'numpy.core.multiarray.scalar'),
        'ndarray itself':   (b'\x80\x02cnumpy\nndarray\nM\x00\x01\x85R.', 'numpy.ndarray'),
        'bytes of a size':  (b'\x80\x02cbuiltins\nbytearray\nM\x00\x01\x85R.', 'builtins.bytearray'),
    }

@pytest.mark.parametrize('what', malicious(''))
def test_opcodes(trace, tmp_path, what):
    stream,found = malicious(trace)[what]
    refused(tmp_path, stream, found, 'holds', error=UnsafePickleError)
    (tmp_path/'set.pkl.gz').write_bytes(gzip.compress(stream))
    with pytest.raises(UnsafePickleError, match='set.pkl.gz'): read_images(tmp_path/'set.pkl.gz')

def test_the_streams_are_live(tmp_path):
    "With `pickle.load` the same streams do make the file: the tests above test something"
    for what in 'global+reduce', 'eval', 'inst', 'obj', 'stack_global':
        made = tmp_path/what.replace('+','_')
        subprocess.run([sys.executable, '-c', 'import sys,pickle; pickle.loads(sys.stdin.buffer.read())'], input=malicious(made)[what][0])
        assert made.exists(), what

def test_registered_extension(trace, tmp_path):
    "A code that this process has registered, and even used, is refused all the same"
    stream = malicious(trace)['extension'][0]
    copyreg.add_extension('os', 'system', 7)
    try:
        pickle.loads(b'\x80\x02\x82\x07.')
        refused(tmp_path, stream, 'extension code 7', error=UnsafePickleError)
    finally: copyreg.remove_extension('os', 'system', 7)

def test_torch(tmp_path):
    refused(tmp_path, pickle.dumps(dataset(extra=torch.zeros(2))), 'torch._utils._rebuild_tensor', 'x.numpy()', error=UnsafePickleError)
    buf = io.BytesIO()
    torch.save({'train_images': torch.zeros(2)}, buf, _use_new_zipfile_serialization=False)
    with pytest.raises((UnsafePickleError,DatasetError)): read_images(save(tmp_path, buf.getvalue()))
    buf = io.BytesIO()
    torch.save({'train_images': torch.zeros(2)}, buf)
    with pytest.raises((UnsafePickleError,DatasetError)): read_images(save(tmp_path, buf.getvalue()))

@pytest.mark.parametrize('o,found', [(np.ma.zeros(2), 'numpy.ma'), (np.zeros(2).view(np.recarray), 'numpy.rec'),
    (collections.defaultdict(list), 'defaultdict'), (collections.Counter(), 'Counter'), (Path('x'), 'Path'), (len, 'builtins.len'),
    (range(3), 'range'), (np.float64, 'numpy.float64')])
def test_neither_array_nor_container(o, found):
    with pytest.raises(UnsafePickleError, match=found): safe_unpickle(pickle.dumps({'o': o}))

def test_global_dtype_is_untouched():
    "A state set on a dtype does not reach numpy's own (one object for all uint8 arrays)"
    stream = (b"\x80\x02}U\x01acnumpy\ndtype\nU\x02u1K\x00K\x00\x87R(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbs.")
    safe_unpickle(stream)
    assert np.dtype('u1').byteorder=='|' and np.dtype('<i4')==np.int32

# ---- what is admitted

def same(a, b): assert type(a) is type(b) and a.dtype==b.dtype and a.shape==b.shape and (a==b).all()

@pytest.mark.parametrize('protocol', range(6))
@pytest.mark.parametrize('a', [x28, np.asfortranarray(x28), x28.transpose(2,0,1), x28[:,::2], x28[:0], np.zeros((0,)), np.arange(5), np.arange(5, dtype='>i4'),
    np.linspace(0, 1, 7), np.linspace(0, 1, 7, dtype='>f4'), np.float16([.5]), np.array([True,False]), np.array(['a','ß']), np.array([b'a',b'bc']),
    np.float64(.5), np.uint8(3), np.bool_(True)], ids=lambda a: f'{a.dtype}{a.shape}')
def test_arrays(a, protocol): same(safe_unpickle(pickle.dumps([a], protocol))[0], a)

@pytest.mark.parametrize('protocol', range(6))
def test_containers(protocol):
    o = {'a': [1, 2.5, True, None, 'ü', b'\x00\xff', b'', 10**30, -1], ('t',1): (), 's': {1,2}, 'f': frozenset('ab'),
         'o': collections.OrderedDict(a=1, b=[2])}
    back = safe_unpickle(pickle.dumps(o, protocol))
    assert back==o and type(back['o']) is dict
    shared = [[1]]*3
    assert safe_unpickle(pickle.dumps(shared, protocol))==shared

def test_aliases_and_cycles():
    "Containers that hold each other: many ways down take no time, an endless one is an error"
    o = []
    for _ in range(60): o = [o, o]
    assert len(safe_unpickle(pickle.dumps(o)))==2
    o = []; o.append(o)
    with pytest.raises(DatasetError): safe_unpickle(pickle.dumps(o))

class NoFrames(pickle._Pickler):
    "Without frames, which hold their length, names can be exchanged"
    def __init__(self, *args): super().__init__(*args); self.framer.start_framing = lambda: None

@pytest.mark.parametrize('protocol', range(6))
def test_numpy_1_and_2(tmp_path, protocol):
    data = dataset(train_labels=y28[:20], test_labels=y28[20:])
    buf = io.BytesIO()
    NoFrames(buf, protocol).dump(data)
    new,old = 'numpy._core.', 'numpy.core.'
    streams = {old: buf.getvalue(), new: buf.getvalue()}
    for core,other in (old,new), (new,old):
        for m in 'multiarray','numeric': # text with its length before it, or up to the end of the line
            for a,b in ((f'{other}{m}\n', f'{core}{m}\n'), (f'\x8c{chr(len(other+m))}{other}{m}', f'\x8c{chr(len(core+m))}{core}{m}')):
                streams[core] = streams[core].replace(a.encode('latin1'), b.encode('latin1'))
        assert core.encode() in streams[core] and other.encode() not in streams[core]
        images = read_images(save(tmp_path, streams[core]))
        assert (images.train_images[:,0].numpy()==x28[:20]).all() and (images.test_labels.numpy()==y28[20:]).all()

def py2_array(a, protocol):
    "What Python 2 and numpy 1 write for an array"
    if protocol==2:
        n = len(a.tobytes())
        raw = (b'U'+bytes([n]) if n<256 else b'T'+struct.pack('<i', n)) + a.tobytes()
        i = lambda k: b'M'+struct.pack('<H', k)
        code,order = a.dtype.str[1:].encode(), a.dtype.str[:1].encode()
        return (b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03(K\x01" + b'('+b''.join(map(i, a.shape))+b't' +
                b"cnumpy\ndtype\nq\x04U" + bytes([len(code)]) + code + b"K\x00K\x01\x87Rq\x05(K\x03U\x01" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + raw + b'tb')
    raw = "'" + ''.join(chr(c) if 32<=c<127 and chr(c) not in "'\\" else f'\\x{c:02x}' for c in a.tobytes()) + "'"
    shape = '(' + ''.join(f'I{k}\n' for k in a.shape) + 't'
    return (f"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n{shape}cnumpy\ndtype\n(S'{a.dtype.str[1:]}'\nI0\nI1\ntR"
            f"(I3\nS'{a.dtype.str[0]}'\nNNNI-1\nI-1\nI0\ntbI00\nS{raw}\ntb").encode()

@pytest.mark.parametrize('protocol', [0, 2])
@pytest.mark.parametrize('dtype', ['u1', '<f4', '>f8'])
def test_python_2(tmp_path, protocol, dtype):
    x = x28 if dtype=='u1' else (x28/255).astype(dtype)
    arrays = dict(train_images=x[:20], test_images=x[20:], train_labels=y28[:20], test_labels=y28[20:])
    key = (lambda k: b'U'+bytes([len(k)])+k.encode()) if protocol==2 else (lambda k: f"S'{k}'\n".encode())
    if protocol==2: stream = b'\x80\x02}(' + b''.join(key(k)+py2_array(a, 2) for k,a in arrays.items()) + b'u.'
    else:           stream = b'(d' + b''.join(key(k)+py2_array(a, 0)+b's' for k,a in arrays.items()) + b'.'
    images = read_images(save(tmp_path, stream))
    assert (images.train_images[:,0].numpy()==x28[:20]).all() and (images.test_labels.numpy()==y28[20:]).all()

def test_bytes_keys(tmp_path):
    images = read_images(save(tmp_path, {k.encode(): v for k,v in dataset(vocab=[b'a',b'b',b'c'], train_labels=y28[:20], test_labels=y28[20:]).items()}))
    assert images.vocab==['a','b','c']

# ---- damaged files

@pytest.mark.parametrize('name', ['set.pkl', 'set.pkl.gz', 'set.npz'])
def test_truncated(tmp_path, name):
    path = write_images(as_images(dataset()), tmp_path/name)
    whole = path.read_bytes()
    for n in [0, 1, 2, 10, 50, *range(100, len(whole), len(whole)//20), len(whole)-1]:
        path.write_bytes(whole[:n])
        with pytest.raises(DatasetError, match=f'{name}.*truncated or damaged'): read_images(path)

def test_flipped_bytes(tmp_path):
    "Whatever the bytes, what is raised is one of ours"
    for protocol in 0,2,4,5:
        whole = pickle.dumps(dict(train_images=x28[:2,:4,:4], test_images=x28[:2,:4,:4], train_labels=[0,1], test_labels=[0,1]), protocol)
        for i in range(len(whole)):
            b = bytearray(whole); b[i] ^= 1 << (i%8)
            try: as_images(safe_unpickle(bytes(b)))
            except (DatasetError,UnsafePickleError): pass

@pytest.mark.parametrize('name', ['set.pkl', 'set.pkl.gz', 'set.npz'])
@pytest.mark.parametrize('content', [b'', b'\x1f\x8b', b'PK\x03\x04'+bytes(100), b'hello\n', bytes(500), b'\x80\x04\x8e'+b'\xff'*8+b'.'])
def test_rubbish(tmp_path, name, content):
    with pytest.raises((DatasetError,UnsafePickleError), match=name): read_images(save(tmp_path, content, name))

def test_names(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file .*none.pkl'): read_images(tmp_path/'none.pkl')
    with pytest.raises(FileNotFoundError): (tmp_path/'folder.pkl').mkdir(); read_images(tmp_path/'folder.pkl')
    for f in read_images, lambda p: write_images(as_images(dataset()), p):
        with pytest.raises(DatasetError, match=r'set.h5.*\.npz, \.npy, \.pkl or \.pkl\.gz'): f(tmp_path/'set.h5')

# ---- arrays that are no images

obj = np.empty(2, dtype=object); obj[:] = [[1],[1,2]]
@pytest.mark.parametrize('a', [obj, np.zeros(2, dtype='u1,f4'), np.zeros(2, 'M8[s]'), np.zeros(2, dtype=[('a','O')])], ids=str)
def test_object_arrays(tmp_path, a):
    for protocol in range(6):
        with pytest.raises((DatasetError,UnsafePickleError), match='set.pkl'): read_images(save(tmp_path, dataset(train_labels=a), protocol=protocol))
    np.savez(tmp_path/'set.npz', **dataset(train_labels=a))
    with pytest.raises(DatasetError, match='set.npz: `train_labels`.*expected'): read_images(tmp_path/'set.npz')

def test_object_array_names_its_key(tmp_path): refused(tmp_path, dataset(train_labels=obj), '`train_labels`', 'Python objects', 'expected an array of numbers')

def test_object_state_on_a_number_array():
    "A list as state, with a dtype of numbers"
    stream = (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\n"
              b"U\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89]K\x07atb.")
    with pytest.raises(DatasetError, match='without its bytes'): safe_unpickle(stream)
    with pytest.raises(DatasetError, match='1 bytes; expected 9 of uint8'):
        safe_unpickle(stream.replace(b'K\x01K\x01\x85c', b'K\x01K\x09\x85c').replace(b']K\x07a', b'U\x01a'))

@pytest.mark.parametrize('x,texts', [
    (np.full((4,784), 127.),                      ('from 127 to 127', 'divide by 255, or save as uint8')),
    (np.linspace(-1, 1, 4*784).reshape(4,784),    ('from -1 to 1', '(x + 1) / 2')),
    (rng.standard_normal((4,784)),                ('expected 0 to 1', 'value_range=(')),
    (np.full((4,784), np.nan),                    ('3,136 NaN or infinite',)),
    (np.where(np.arange(784)<3, np.inf, .5)[None].repeat(2, 0), ('6 NaN or infinite',)),
    (np.full((4,784), 256),                       ('from 256 to 256', 'expected 0 to 255')),
    (np.full((4,784), -1, dtype=np.int8),         ('from -1 to -1', 'expected 0 to 255')),
    (np.zeros((4,784), dtype=complex),            ('type c', 'expected an array of numbers')),
    (np.zeros((4,783)),                           ('4 x 783', 'N x H x W')),
    (np.zeros((4,28,28,2)),                       ('2 x 28 x 28', 'the same in every split')),
    (np.zeros((4,4,28,28)),                       ('4 x 28 x 28', 'the same in every split')),
    (np.zeros((4,28,28,28)),                      ('4 x 28 x 28 x 28', 'fewer than rows and columns')),
    (np.zeros((1,4,3,28,28)),                     ('1 x 4 x 3 x 28 x 28', 'N x H x W x C')),
    (np.zeros(784),                               ('is 784', 'expected N x D')),
    (np.float32(1),                               ('a single number', 'expected N x D')),
    (np.zeros((0,28,28)),                         ('holds no images',)),
    (np.zeros((4,0)),                             ('4 x 0', 'expected N x D')),
    (np.zeros((4,0,3)),                           ('holds no images',)),
    (np.array(['a','b']),                         ('<U1', 'expected an array of numbers')),
    ('text',                                      ('<U4', 'expected an array of numbers')),
    ([[1,2],[3]],                                 ('different lengths', 'expected an array of numbers')),
    ({'a': 1},                                    ('Python objects', 'expected an array of numbers')),
], ids=str)
def test_bad_images(tmp_path, x, texts):
    refused(tmp_path, dict(train_images=x28, test_images=x), '`test_images`', 'expected', *texts)
    if isinstance(x, np.ndarray):
        np.savez(tmp_path/'set.npz', train_images=x, test_images=x28)
        with pytest.raises(DatasetError, match='set.npz: `t.*_images`.*expected'): read_images(tmp_path/'set.npz')

def test_missing_keys(tmp_path):
    refused(tmp_path, {'test_images': x28, 'labels': 3}, '`train_images` is missing', 'found test_images, labels', 'expected train_images, test_images')
    refused(tmp_path, {'train_images': x28, 'test_images': None}, '`test_images` is missing', 'expected')
    refused(tmp_path, {}, '`train_images` is missing', 'no key at all')
    refused(tmp_path, (x28, x28), 'holds a tuple', 'expected a dict')
    np.savez(tmp_path/'set.npz', x=x28)
    with pytest.raises(DatasetError, match='set.npz: `train_images` is missing; found x'): read_images(tmp_path/'set.npz')

def test_splits_differ(tmp_path):
    grey,colour = x28, np.stack([x28]*3, -1)
    refused(tmp_path, dict(train_images=grey, test_images=colour), '`test_images`', '3 x 28 x 28', '1 x 28 x 28', 'expected the same in every split')
    refused(tmp_path, dict(train_images=grey, test_images=grey[:,:20]), '`test_images`', '1 x 20 x 28')
    refused(tmp_path, dataset(valid_images=colour), '`valid_images`', '3 x 28 x 28')

@pytest.mark.parametrize('y,texts', [
    (y28[20:][:-1],             ('length 9', 'expected 10')),
    (None,                      ('`test_labels` is missing', 'every split or for none')),
    (np.full(10, .5),           ('expected class numbers',)),
    (np.full(10, np.nan),       ('expected class numbers',)),
    (np.full(10, np.inf),       ('expected class numbers',)),
    (np.full(10, 1e300),        ('expected class numbers',)),
    (np.full(10, -1),           ('expected class numbers from 0',)),
    (np.full(10, 10**9),        ('expected class numbers from 0',)),
    (np.zeros((10,3)),          ('10 x 3', 'one-hot')),
    (np.zeros((10,1,3)),        ('10 x 1 x 3', 'one-hot')),
    (np.array(list('abcdefghij')), ('expected an array of numbers',)),
    (3,                         ('a single number', 'expected class numbers')),
], ids=str)
def test_bad_labels(tmp_path, y, texts): refused(tmp_path, dataset(train_labels=y28[:20], test_labels=y), '`test_labels`', 'expected', *texts)

def test_bad_vocab(tmp_path):
    labels = dict(train_labels=y28[:20], test_labels=y28[20:])
    for v in 'abc', ['a','b'], [1,2,3], 3: refused(tmp_path, dataset(vocab=v, **labels), '`vocab`', 'expected')
    refused(tmp_path, dataset(valid_images=x28, **labels), '`valid_labels` is missing')
    refused(tmp_path, dataset(valid_labels=y28, **labels), '`valid_images`')

# ---- arrays that are

layouts = {'N x 784': x28.reshape(30,784), 'N x 28 x 28': x28, 'N x H x W x 1': x28[...,None], 'N x 1 x H x W': x28[:,None]}
@pytest.mark.parametrize('layout', layouts)
@pytest.mark.parametrize('convert', [lambda x: x, lambda x: x.astype(np.int64), lambda x: x/255, lambda x: (x/255).astype(np.float32), lambda x: x/255*1.0009,
    lambda x: (x/255).astype('>f4'), lambda x: x.tolist(), lambda x: np.asfortranarray(x)])
def test_grey(tmp_path, layout, convert):
    x = convert(layouts[layout])
    images = read_images(save(tmp_path, dict(train_images=x, test_images=x)))
    expected = torch.tensor(x28)[:,None]
    assert images.image_shape==(1,28,28) and images.train_images.dtype==torch.uint8 and images.train_images.is_contiguous()
    assert (images.train_images.int()-expected.int()).abs().max()==0

def test_colour(tmp_path):
    x = rng.integers(0, 256, (6,8,10,3), dtype=np.uint8)
    expected = torch.tensor(x).permute(0,3,1,2)
    for o in x, x.transpose(0,3,1,2), np.ascontiguousarray(x.transpose(0,3,1,2)):
        images = as_images(dict(train_images=o, test_images=x))
        assert torch.equal(images.train_images, expected) and images.train_images.is_contiguous()

def test_masks(tmp_path):
    "Ones are white when nothing is larger in any split"
    m = (x28>127)
    for t in np.uint8, np.int64, bool:
        images = as_images(dict(train_images=m.astype(t), test_images=np.zeros_like(m[:3], dtype=t)))
        assert torch.equal(images.train_images[:,0], torch.tensor(m*np.uint8(255))) and images.test_images.max()==0
    assert as_images(dict(train_images=m.astype(np.uint8), test_images=x28)).train_images.max()==1

def test_constant():
    for c in 0,7,255: assert as_images(dict(train_images=np.full((3,4,4), c), test_images=np.full((3,4,4), c))).train_images.unique().tolist()==[c]

def test_labels_of_any_kind(tmp_path):
    for f in (lambda y: y), (lambda y: y.astype(float)), (lambda y: y[:,None]), (lambda y: np.eye(3)[y]), (lambda y: y.tolist()), (lambda y: y.astype('>i2')):
        images = read_images(save(tmp_path, dataset(train_labels=f(y28[:20]), test_labels=f(y28[20:]))))
        assert images.train_labels.tolist()==y28[:20].tolist() and images.train_labels.dtype==torch.int64 and images.vocab==['0','1','2']

def test_unknown_keys_are_left(tmp_path):
    np.savez(tmp_path/'set.npz', **dataset(index=np.array([{}], dtype=object)))
    assert read_images(tmp_path/'set.npz').image_shape==(1,28,28)

@pytest.mark.parametrize('name', ['bare.pkl', 'bare.pkl.gz', 'bare.npz'])
def test_bare_array(tmp_path, name):
    x = np.arange(200, dtype=np.uint8)[:,None].repeat(49, 1)
    if name=='bare.npz': np.savez(tmp_path/name, x)
    else: (tmp_path/name).write_bytes((gzip.compress if name.endswith('gz') else bytes)(pickle.dumps(x)))
    a,b,c = read_images(tmp_path/name), read_images(tmp_path/name), read_images(tmp_path/name, seed=1)
    assert (len(a.train_images), len(a.test_images), a.train_labels)==(190, 10, None)
    assert torch.equal(a.test_images, b.test_images) and not torch.equal(a.test_images, c.test_images)
    assert sorted(torch.cat([a.train_images, a.test_images])[:,0,0,0].tolist())==list(range(200))
    assert len(read_images(tmp_path/name, test_pct=.5).test_images)==100
    with pytest.raises(DatasetError, match='1 images; expected'): as_images(x[:1])
    with pytest.raises(DatasetError, match='NaN'): as_images(np.full((3,4), np.nan))

# ---- writing

def full(c):
    g = torch.Generator().manual_seed(0)
    x = lambda n: torch.randint(0, 256, (n,c,9,7), dtype=torch.uint8, generator=g)
    return Images(x(6), x(4), torch.arange(6), torch.arange(4), x(3), torch.arange(3), vocab=['ä', 'b c', '', 'd', 'e', 'f'])

@pytest.mark.parametrize('name', ['set.pkl', 'set.pkl.gz', 'set.npz'])
@pytest.mark.parametrize('images', [full(1), full(3), as_images(dataset()), as_images(dict(train_images=x28>127, test_images=x28<99)),
    Images(torch.ones(2,1,3,3, dtype=torch.uint8), torch.zeros(2,1,3,3, dtype=torch.uint8)), Images(torch.zeros(2,3,3,3, dtype=torch.uint8), torch.zeros(2,3,3,3, dtype=torch.uint8), vocab=['a'])],
    ids=lambda o: repr(o))
def test_round_trip(tmp_path, name, images):
    back = read_images(write_images(images, tmp_path/name))
    for s in images.splits():
        assert torch.equal(getattr(back, f'{s}_images'), getattr(images, f'{s}_images'))
        if images.train_labels is not None: assert torch.equal(getattr(back, f'{s}_labels'), getattr(images, f'{s}_labels'))
    assert back.vocab==images.vocab and back.splits()==images.splits() and back.name==name

def test_written_as_the_original(tmp_path):
    with open(write_images(full(3), tmp_path/'new'/'set.pkl'), 'rb') as f: data = pickle.load(f)
    assert data['train_images'].shape==(6,9,7,3) and data['train_images'].dtype==np.uint8 and data['train_labels'].tolist()==list(range(6))
    assert type(data['train_images']) is np.ndarray and type(data['vocab']) is list

@pytest.mark.parametrize('name', ['set.pkl', 'set.pkl.gz', 'set.npz'])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, name):
    path = write_images(full(1), tmp_path/name)
    before = path.read_bytes()
    def fail(*args): raise OSError('no space left')
    for step in 'fsync', 'replace':
        with monkeypatch.context() as m:
            m.setattr(os, step, fail)
            with pytest.raises(OSError, match='no space left'): write_images(full(3), path)
        assert path.read_bytes()==before and [o.name for o in tmp_path.iterdir()]==[name]

def test_written_file_has_usual_rights(tmp_path):
    (tmp_path/'other').touch()
    assert write_images(full(1), tmp_path/'set.pkl').stat().st_mode==(tmp_path/'other').stat().st_mode

# ---- shown

@pytest.mark.parametrize('shape', [(3,64,64), (1,28,28), (3,8,20), (1,200,200)])
@pytest.mark.parametrize('labels', [True, False])
def test_html_is_small(shape, labels):
    x = torch.randint(0, 256, (300,*shape), dtype=torch.uint8)
    y = torch.arange(300)%30 if labels else None
    images = Images(x, x, y, y, name='<noise>')
    assert len(images._repr_html_())<101_000 and '&lt;noise&gt;' in images._repr_html_()
    one = Images(x[:1], x[:1])
    assert one.show().axes and one._repr_html_() and '1 train, 1 test' in repr(one)

# ---- real files

real = dict(mnist=(60000,10000,1,28), fashion_mnist=(60000,10000,1,28), cifar10=(30000,1000,3,32), binarized_mnist=(50000,10000,1,28), textures_42000_28px=(35700,6300,1,28))
@pytest.mark.skipif(not DATA, reason='needs VAE_NBDEV_DATA')
@pytest.mark.parametrize('name', real)
def test_real(name):
    path = Path(DATA)/(name + ('.pkl' if name.startswith('textures') else '.npz'))
    if not path.is_file(): pytest.skip(f'no {path.name}')
    images = read_images(path)
    n,m,c,side = real[name]
    assert images.train_images.shape==(n,c,side,side) and images.test_images.shape==(m,c,side,side)
    assert len(images.vocab)==(7 if name.startswith('textures') else 10) and images.train_images.max()==255
    if name=='binarized_mnist': assert images.splits()==['train','test','valid'] and images.train_images.unique().tolist()==[0,255]
    if name=='mnist': assert abs((images.train_images.float().mean()/255).item()-.1307)<1e-4
    assert len(images._repr_html_())<101_000

def test_few_bytes_that_claim_much(tmp_path):
    "Text of no width, text between numbers, labels without images, keys of one hash: refused before they are made"
    images = np.arange(200, dtype=np.uint8).reshape(2, 1, 10, 10)
    empty,text = np.zeros(2**20, 'S0'),np.array([b'x'*1000])
    same = {i*(2**61-1): 0 for i in range(1, 2000)}
    for data,words in ((dict(train_images=[empty, empty], test_images=images), 'numbers'), (dict(train_images=[images[0,0], text], test_images=images), 'text'),
                       (dict(train_images=images, test_images=images, valid_labels=np.zeros((2**20, 0), np.uint8)), 'has no images'), (dict(train_images=images, test_images=images, other=same), 'same hash')):
        (tmp_path/'a.pkl').write_bytes(pickle.dumps(data))
        start = time.process_time()
        with pytest.raises((DatasetError, UnsafePickleError), match=words): read_images(tmp_path/'a.pkl')
        assert time.process_time()-start < 2
    for pct in (0, -1, 1, float('nan')):
        with pytest.raises(DatasetError, match='share between 0 and 1'): as_images(np.repeat(images, 10, 0), test_pct=pct)
