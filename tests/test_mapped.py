"Images that stay on the disk: training in less memory than the file takes"
import subprocess, sys, textwrap
import numpy as np

# above ten seconds: a file four times what one process may take has 200,000 images, and all are evaluated
def test_trains_in_a_quarter_of_the_file(tmp_path):
    "With a cap on the memory of the process that the file exceeds four times, an epoch and its evaluation run through"
    n = 200_000
    x = np.lib.format.open_memmap(tmp_path/'big.npy', 'w+', np.uint8, (n,28,28))
    for i in range(0, n, 20_000): x[i:i+20_000] = np.random.default_rng(i).integers(0, 256, (20_000,28,28), dtype=np.uint8)[:len(x)-i]
    x.flush()
    size = (tmp_path/'big.npy').stat().st_size
    code = textwrap.dedent('''
        import resource, sys, warnings
        warnings.simplefilter('ignore')
        import torch
        from vae_nbdev import *
        torch.set_num_threads(1)
        def small(): return SmallDenseVAE((1,28,28), 2, encoder_widths=(8,), decoder_widths=(8,))
        def trained(dls):
            learn = vae_learner(dls, small(), likelihood='normal')
            with learn.no_bar(), learn.no_logging(): learn.fit(1)
            return evaluate(learn)
        trained(image_dls('digits', size=28))                                   # all that is needed once is there
        used = next(int(l.split()[1])*1024 for l in open('/proc/self/status') if l.startswith('VmData'))
        cap = used + int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
        print(trained(image_dls(sys.argv[1], mapped=True, steps=300)).images.tolist())
        try: image_dls(sys.argv[1])
        except MemoryError as e: print(e)
    ''')
    res = subprocess.run([sys.executable, '-c', code, tmp_path/'big.npy', str(size//4)], capture_output=True, text=True)
    assert res.stdout.split('\n')[:2]==['[190000, 10000]', 'big.npy does not fit in memory: leave it on the disk, mapped=True (.npy or uncompressed .npz)'], res.stdout+res.stderr
