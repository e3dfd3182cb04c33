"""Settings of a recipe, compared on validation images: `python benchmarks/try_recipe.py NAME "lr=2e-3, epochs=3" "lr=1e-3, epochs=3"`
trains a recipe's reduced budget with such fields changed and adds a row for each to tries.json beside this file. No test image is looked at:
where a set has no validation images, a sixth of the training images is held out."""
import io, json, sys, time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
import torch
from vae_nbdev import *
from vae_nbdev.results import recipes, trained

def tried(name, changes, seed=0, k=1, n=None):
    "What validation images say of a recipe with `changes`"
    r = recipes[name]
    r = replace(replace(r, **r.reduced), **eval(f'dict({changes})'))
    torch.manual_seed(seed)
    held_out = {} if getattr(load_dataset(r.data['source']), 'valid_images', None) is not None else dict(valid_pct=1/6)
    dls = image_dls(**r.data, bs=r.bs, steps=r.steps, **held_out)
    start = time.time()
    with redirect_stdout(io.StringIO()):                                       # no bars
        learn,_ = trained(r, dls, r.epochs, seed)
        e = evaluate(learn, 'valid', n=n, k=k).iloc[0]
    numbers = {o: float(e[o]) for o in ('elbo', 'recon', 'kl', 'bpd') if o in e}
    return dict(name=name, changes=changes, **numbers, images=int(e.images), minutes=(time.time()-start)/60,
                threads=torch.get_num_threads())

if __name__=='__main__':
    out = Path(__file__).with_name('tries.json')
    for changes in sys.argv[2:]:
        rows = json.loads(out.read_text()) if out.exists() else []
        rows.append(tried(sys.argv[1], changes)); print(rows[-1], flush=True)
        out.write_text('[\n'+',\n'.join(json.dumps(r) for r in rows)+'\n]\n')
