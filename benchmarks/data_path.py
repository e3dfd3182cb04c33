"Images a second from memory to a batch (x, x): ours, fastai's item by item, and a bare loop. All in one process, in turn."
import argparse, json, os, platform, statistics, time, warnings
from pathlib import Path
warnings.simplefilter('ignore', FutureWarning)
import fastai, torch
from fastai.data.core import ItemTransform
from fastai.data.block import DataBlock, TransformBlock
from fastai.vision.augment import IntToFloatTensor
from fastai.vision.core import PILImageBW
from vae_nbdev import *

def random_images(n):
    g = torch.Generator().manual_seed(0)
    return Images(*(torch.randint(256, (k,1,28,28), dtype=torch.uint8, generator=g) for k in (n, 256)), name='random')

def ours(images, bs): return image_dls(images, bs=bs, binarize='threshold', device='cpu').train

class Pair(ItemTransform):
    "(x,) to (x, x), for batches collated from items"
    order = 100
    def encodes(self, b): return b[0],b[0]

def by_item(block, images, bs):
    "fastai's own loader: one image after another, then collated"
    block = DataBlock(block, getters=[lambda i: images[i]], splitter=lambda o: (o, o[:1]))
    return block.dataloaders(range(len(images)), bs=bs, num_workers=0, device='cpu').train

def tensor_items(images, bs):
    return by_item(TransformBlock(batch_tfms=[ScaleImages(), Binarize(), Pair()]), images.train_images, bs)

def pillow_items(images, bs):
    block = TransformBlock(type_tfms=PILImageBW.create, batch_tfms=[IntToFloatTensor(), Binarize(), Pair()])   # `ImageBlock`, and a threshold
    return by_item(block, images.train_images[:,0].numpy(), bs)

class Bare:
    "The least that makes the same batches"
    def __init__(self, images, bs): self.x,self.bs = images.train_images,bs
    def __iter__(self):
        for idxs in torch.randperm(len(self.x)).split(self.bs):
            x = (self.x[idxs].float().div_(255) >= .5).float()
            if len(idxs)==self.bs: yield x,x

def rate(dl):
    "Images a second of one epoch"
    n,start = 0,time.perf_counter()
    for x,y in dl: n += len(x)
    return n/(time.perf_counter() - start)

def check(dls):
    "All make the same kind of batch"
    for name,dl in dls.items():
        x,y = next(iter(dl))
        assert x.dtype==torch.float32 and x.shape[1:]==(1,28,28) and x.unique().tolist()==[0,1] and y.shape==x.shape, name

def measure(n, n_pillow, bs, repeats):
    images,few = random_images(n),random_images(n_pillow)
    dls = {'image_dls': ours(images, bs), 'fastai, tensors item by item': tensor_items(images, bs),
           'fastai, ImageBlock through Pillow': pillow_items(few, bs), 'bare torch loop': Bare(images, bs)}
    check(dls)
    rates = {name: [] for name in dls}
    for i in range(repeats+1):                                   # the first round is to warm up
        for name,dl in dls.items():
            r = rate(dl)
            if i: rates[name].append(r)
    return rates

def summary(rates):
    "Median, smallest and largest rate, and the median of ours over each, round by round"
    first = next(iter(rates.values()))
    return {name: dict(median=statistics.median(rs), min=min(rs), max=max(rs), rates=rs,
                       ratio=statistics.median(a/b for a,b in zip(first, rs))) for name,rs in rates.items()}

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--smoke', action='store_true', help='a second of it, to see that it runs')
    p.add_argument('--repeats', type=int, default=7)
    p.add_argument('--out', type=Path, default='runs/bench/data_path.json')
    args = p.parse_args()
    n,n_pillow,bs,repeats = (1024, 256, 64, 2) if args.smoke else (60_000, 6_000, 256, args.repeats)
    res = summary(measure(n, n_pillow, bs, repeats))
    print(f'{n:,} images 1 x 28 x 28, batches of {bs}: gather, scale, threshold. Median of {repeats}, on {os.cpu_count()} cores, {torch.get_num_threads()} threads')
    print(f'{"":36}{"images/s":>12}{"smallest":>12}{"largest":>12}{"image_dls is":>15}')
    for name,r in res.items(): print(f'{name:36}{r["median"]:>12,.0f}{r["min"]:>12,.0f}{r["max"]:>12,.0f}{r["ratio"]:>13.2f} x')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    about = dict(n=n, n_pillow=n_pillow, batch_size=bs, cores=os.cpu_count(), threads=torch.get_num_threads(), python=platform.python_version(),
                 torch=torch.__version__, fastai=fastai.__version__, machine=platform.machine())
    args.out.write_text(json.dumps(about | dict(results=res), indent=1))
    print(f'written: {args.out}')
