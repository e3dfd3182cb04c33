"Peak memory of a process that trains one epoch, in MB above what it has after the imports (Linux): python benchmarks/memory.py NAME IMAGES"
import sys, warnings
warnings.simplefilter('ignore')

def status(key):
    "MB of this process"
    return next(int(l.split()[1])/1024 for l in open('/proc/self/status') if l.startswith(key))

if __name__=='__main__':
    name,n = sys.argv[1],int(sys.argv[2])
    if name=='Pythae': import pythae.trainers
    from training import bare, fused, nets, ours, pythae, random_images, BareVAE, has_bfloat16
    start,images,net = status('VmRSS'),random_images(n),nets['dense']
    run = {'Learner':   lambda: ours(net.model((1,28,28)), images, 100, 'cpu'),
           'Pythae':    lambda: pythae(net, images, 100, 'cpu'),
           'bare loop': lambda: bare(BareVAE(net), images, 100, 'cpu', fused, has_bfloat16())}[name]()
    del images                                                   # Pythae has made floats of them
    run()
    print(status('VmHWM')-start)
