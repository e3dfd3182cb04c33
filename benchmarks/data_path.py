"Images a second from memory, or from a file, to a batch (x, x): ours, fastai's item by item, and a bare loop."
import tempfile, time
from pathlib import Path
import numpy as np, torch
from fastai.data.core import ItemTransform
from fastai.data.block import DataBlock, TransformBlock
from fastai.vision.augment import IntToFloatTensor
from fastai.vision.core import PILImageBW
from vae_nbdev import *
from training import random_images

def ours(images, bs): return image_dls(images, bs=bs, binarize='threshold', device='cpu').train

def mapped(images, bs, folder):
    "The same images, left on the disk"
    return ours(read_images(write_images(images, Path(folder)/'images.npz', compress=False), mapped=True), bs)

class Pair(ItemTransform):
    "(x,) to (x, x), for batches collated from items"
    order = 100
    def encodes(self, b): return b[0],b[0]

def by_item(block, images, bs, num_workers=0):
    "fastai's own loader: one image after another, then collated"
    block = DataBlock(block, getters=[lambda i: images[i]], splitter=lambda o: (o, o[:1]))
    return block.dataloaders(range(len(images)), bs=bs, num_workers=num_workers, device='cpu').train

def tensor_items(images, bs, **kwargs):
    return by_item(TransformBlock(batch_tfms=[ScaleImages(), Binarize(), Pair()]), images.train_images, bs, **kwargs)

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

def contenders(n, n_pillow, bs, folder):
    "Name -> function"
    images,few = random_images(n),random_images(n_pillow)
    dls = {'image_dls': ours(images, bs), 'image_dls, mapped=True': mapped(images, bs, folder), 'fastai, tensors item by item': tensor_items(images, bs), 'the same, two workers': tensor_items(images, bs, num_workers=2),
           'fastai, ImageBlock through Pillow': pillow_items(few, bs), 'bare torch loop': Bare(images, bs)}
    check(dls)
    return {name: lambda dl=dl: rate(dl) for name,dl in dls.items()}
