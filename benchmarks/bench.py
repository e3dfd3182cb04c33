"Speed and memory, as ratios within one process. Writes runs/bench/{results.json,tables.md,bench.png}."
import argparse, json, subprocess, sys, tempfile, warnings
from pathlib import Path
warnings.simplefilter('ignore')
import matplotlib; matplotlib.use('Agg')
import matplotlib.pyplot as plt, torch
import data_path, inference, training
from compare import about, in_turn, summary, table

def show(results, name, title, res, unit, digits=0):
    "Keep a `summary` under `name`, print it"
    results[name] = dict(title=title, unit=unit, digits=digits, rows=res)
    print(table(title, res, unit, digits), flush=True)

def measure_training(results, args):
    for name,bs,n in [('dense',100,10_000), ('dense',1000,10_000), ('small',100,30_000), ('small',1000,30_000)]:
        key = f'training {name} {bs}'
        if args.smoke: bs,n = bs//10,bs//5
        res = summary(in_turn(training.contenders(name, bs, n, args.device, args.compile), args.repeats), 'Learner')
        show(results, key, f'Training, {name} network, batch {bs}', res, 'images/s')

def beside_a_loop(model, images, bs, args, **others):
    "Our learner in both precisions, what `others` name, and the same network in a bare loop; `model` makes it"
    res = {'Learner': training.ours(model(), images, bs, args.device), 'Learner, float32': training.ours(model(), images, bs, args.device, precision='fp32'),
           **{f'Learner, {name}': training.ours(net, images, bs, args.device) for name,net in others.items()},
           'our model in a bare loop': training.bare(model(), images, bs, args.device, training.fused, training.has_bfloat16(args.device), flat=False)}
    if args.compile: res['Learner, compile=True'] = training.ours(model(), images, bs, args.device, compile=True)
    return res

def measure_conv(results, args):
    images,bs = training.random_images(20 if args.smoke else 300),10 if args.smoke else 100
    for cls,other in ((training.ConvVAE, 'contiguous_format'), (training.SmallConvVAE, 'channels_last')):
        def model(): return cls((1,28,28))
        res = beside_a_loop(model, images, bs, args, **{other: model().to(memory_format=getattr(torch, other))})
        show(results, f'training {cls.__name__}', f'Training, {cls.__name__}, batch {bs}', summary(in_turn(res, min(args.repeats, 5))), 'images/s')

def measure_ladder(results, args):
    images,bs = training.random_images(20 if args.smoke else 10_000),10 if args.smoke else 100
    def model(): return training.DenseLadderVAE((1,28,28), latent_dims=(32,8))
    show(results, 'training ladder', 'Training, DenseLadderVAE, batch 100', summary(in_turn(beside_a_loop(model, images, bs, args), args.repeats), 'Learner'), 'images/s')

def measure_deep(results, args):
    images,bs = training.random_images(20 if args.smoke else 640),10 if args.smoke else 64
    for cls in (training.ResNetLadderVAE, training.VDVAE, training.BIVA):
        def model(**kwargs): return cls((1,28,28), 8, channels=32, **kwargs)
        others = {'contiguous_format': model().to(memory_format=torch.contiguous_format), 'blocks made again': model(remember=False)}
        res = beside_a_loop(model, images, bs, args, **others)
        show(results, f'training {cls.__name__}', f'Training, {cls.__name__}, batch {bs}', summary(in_turn(res, min(args.repeats, 5)), 'Learner'), 'images/s')

def measure_data(results, args):
    n,few,bs = (1024,256,64) if args.smoke else (60_000,6_000,256)
    with tempfile.TemporaryDirectory() as folder:
        show(results, 'data path', f'Data path, {n:,} images of 1 x 28 x 28, batch {bs}', summary(in_turn(data_path.contenders(n, few, bs, folder), args.repeats)), 'images/s')

def measure_inference(results, args):
    n,k = (20,2) if args.smoke else (1000,10)
    show(results, 'sampling', f'Sampling {n:,} images, dense network', summary(in_turn(inference.sampling('dense', n, args.device), args.repeats)), 'images/s')
    show(results, 'log_weights', f'log_weights, {n:,} images with {k} draws each, dense network', summary(in_turn(inference.weights('dense', n, k, args.device), args.repeats)), 'weights/s')

def measure_scaling(results, args):
    "How an epoch grows with the number of images, and a step with the width"
    sizes = (100,200) if args.smoke else (10_000,60_000,600_000)
    res = {f'{n:,} images': training.ours(training.SmallDenseVAE((1,28,28)), training.random_images(n), min(100, n//2), args.device) for n in sizes}
    show(results, 'scaling data', 'An epoch of the small network, by images', summary(in_turn(res, min(args.repeats, 3))), 'images/s')
    net,n = training.nets['dense'],20 if args.smoke else 5000
    for_width = lambda f: training.DenseVAE((1,28,28), encoder_widths=tuple(int(w*f) for w in net.encoder), decoder_widths=tuple(int(w*f) for w in net.decoder))
    res = {f'widths x {f:g}': training.ours(for_width(f), training.random_images(n), 10 if args.smoke else 100, args.device) for f in (1,.25,.5,2)}
    show(results, 'scaling width', 'The dense network, by width, batch 100', summary(in_turn(res, min(args.repeats, 5))), 'images/s')

def measure_long(results, args):
    "Does a run slow down? The first and the last of its parts, with and without FlushDenormals"
    n,part = (200,2) if args.smoke else (40_000,500)
    rows = {}
    for name,flush in {'with FlushDenormals': True, 'without': False}.items():
        speeds = training.parts('textures', 6*part, part, args.device, flush, n_per_family=n//7)
        rows |= {f'{name}, first {part} steps': speeds[:1]*3, f'{name}, each of the last three {part}': speeds[-3:]}
    show(results, 'long', f'A run of {6*part:,} steps on textures, dense network, batch 100', summary(rows), 'images/s')

def measure_alone(results, args):
    "Contenders as their users run them, each in a new process, in turn"
    n,names = 200 if args.smoke else 20_000,('Learner', 'bare loop, fused Adam, bfloat16', 'bare loop', 'Pythae')
    rows = {name: [] for name in names}
    for i in range(args.repeats):
        for name in names[::1 if i%2 else -1]:
            run = subprocess.run([sys.executable, Path(__file__).with_name('alone.py'), name, str(n)], capture_output=True, text=True)
            if run.returncode==0: rows[name].append(json.loads(run.stdout.split('\n')[-2]))
            elif 'No module named' not in run.stderr: raise RuntimeError(run.stderr)
    for key,title,unit in (('speed','The dense network in a process of its own, batch 100','images/s'), ('memory','Peak memory of that process above the imports','MB'),
                           ('pages','Pages of memory that it asks of the system','pages/step')):
        show(results, f'alone {key}', title, summary({k: [o[key] for o in v] for k,v in rows.items() if v}), unit)

def picture(results, path):
    "Ratios to our Learner, a panel a measurement"
    shown = {k: v for k,v in results.items() if k.startswith(('training','alone speed','data'))}
    fig,axs = plt.subplots(len(shown), figsize=(8, .28*sum(len(v['rows'])+2 for v in shown.values())), layout='constrained', squeeze=False,
                           height_ratios=[len(v['rows'])+1 for v in shown.values()])
    for ax,v in zip(axs[:,0], shown.values()):
        rows = v['rows']
        ax.barh(list(rows), [r['ratio'] for r in rows.values()], color=['C0' if i==0 else '0.7' for i in range(len(rows))])
        for i,r in enumerate(rows.values()): ax.text(r['ratio'], i, f' {r["ratio"]:.2f}', va='center', fontsize=8)
        ax.axvline(1, c='k', lw=.8); ax.invert_yaxis(); ax.tick_params(labelsize=8); ax.spines[['top','right']].set_visible(False)
        ax.set_title(f'{v["title"]}: {v["unit"]}, ours is 1', fontsize=9, loc='left')
    fig.savefig(path, dpi=90); plt.close(fig)

measurements = dict(training=measure_training, conv=measure_conv, ladder=measure_ladder, deep=measure_deep, data=measure_data, inference=measure_inference, scaling=measure_scaling, long=measure_long, alone=measure_alone)

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('what', nargs='*', default=list(measurements), help=f'any of {", ".join(measurements)}; all when nothing is named')
    p.add_argument('--smoke', action='store_true', help='a minute of it, to see that it runs')
    p.add_argument('--repeats', type=int, default=5, help='rounds; the median counts')
    p.add_argument('--compile', action='store_true', help='also torch.compile')
    p.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    p.add_argument('--out', type=Path, default='runs/bench')
    args = p.parse_args()
    if args.smoke: args.repeats = 2
    results,machine = {},about()
    print(' '.join(f'{k}={v}' for k,v in machine.items()))
    for name in args.what: measurements[name](results, args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out/'results.json').write_text(json.dumps(dict(machine=machine, results=results), indent=1))
    (args.out/'tables.md').write_text(''.join(table(v['title'], v['rows'], v['unit'], v['digits']) for v in results.values()))
    if any(k.startswith(('training','alone speed','data')) for k in results): picture(results, args.out/'bench.png')
    print('written:', ', '.join(str(o) for o in sorted(args.out.glob('*.*'))))
