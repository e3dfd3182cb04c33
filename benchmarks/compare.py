"Contenders in turn within one process: absolute speeds move with the machine, their ratios hold."
import os, platform, statistics
import fastai, torch
from vae_nbdev.train.speed import has_bfloat16

def in_turn(
    contenders, # Name -> function without arguments that does its work once and gives a speed (or whatever is compared)
    repeats=7,  # Rounds that count; one before them warms up
):
    "All contenders in every round, the order reversed in every other one: name -> list of `repeats` speeds"
    speeds = {name: [] for name in contenders}
    for i in range(repeats+1):
        for name,f in list(contenders.items())[::1 if i%2 else -1]:
            v = f()
            if i: speeds[name].append(v)
    return speeds

def summary(
    speeds, # From `in_turn`
    to=None, # Ratios are to this one; None is the first
):
    "name -> median, smallest and largest speed, and the median of its ratios to `to`, round by round"
    base = speeds[to or next(iter(speeds))]
    return {name: dict(median=statistics.median(vs), min=min(vs), max=max(vs), speeds=vs, ratio=statistics.median(v/b if b else float(v==b) for v,b in zip(vs, base)))
            for name,vs in speeds.items()}

def table(title, res, unit, digits=0):
    "A `summary` as Markdown"
    head = f'\n**{title}**\n\n| | {unit} | smallest to largest | ratio |\n|---|---:|---:|---:|\n'
    return head + '\n'.join(f'| {name} | {r["median"]:,.{digits}f} | {r["min"]:,.{digits}f} to {r["max"]:,.{digits}f} | {r["ratio"]:.2f} |' for name,r in res.items()) + '\n'

def about():
    "The machine and the versions"
    caps = torch.cpu.get_capabilities()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return dict(machine=platform.machine(), processor=caps.get('cpu_name'), cores=os.cpu_count(), threads=torch.get_num_threads(), amx=bool(caps.get('amx_bf16')),
                bfloat16=has_bfloat16(), gpu=gpu, python=platform.python_version(), torch=torch.__version__, fastai=fastai.__version__)
